"""Models from official checkpoints. Nothing that separates imports it."""

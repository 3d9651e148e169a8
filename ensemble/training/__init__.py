"""Training of our own networks. Nothing that separates imports it."""

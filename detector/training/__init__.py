"""Training of the detector. Nothing that listens imports it."""

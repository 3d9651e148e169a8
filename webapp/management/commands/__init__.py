"""The commands `setup`, which prepares an installation, and `serve`, which runs it."""

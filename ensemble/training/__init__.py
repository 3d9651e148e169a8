"""Trains the project's own networks. Nothing that separates imports it."""

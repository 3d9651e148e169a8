"""Trains the detector. Nothing that detects imports it."""

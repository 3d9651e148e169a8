"""Detects which instruments a song contains, and when."""

"""Measures separation quality on songs whose stems are known."""

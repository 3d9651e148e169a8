"""How well models separate, measured on songs whose stems are known."""

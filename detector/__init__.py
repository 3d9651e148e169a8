"""Which instruments a song holds."""

"""Files for the player: segments, peaks, spectrograms."""

"""What the player fetches: segments, peaks, pictures."""

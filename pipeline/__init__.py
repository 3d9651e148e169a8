"""From an audio file to its stems."""

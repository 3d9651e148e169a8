"""Reading and writing of audio files."""

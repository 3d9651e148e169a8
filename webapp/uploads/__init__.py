"""Files on their way in: pieces that resume, and limits."""

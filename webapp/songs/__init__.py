"""The life of a song: what people do with it, how workers claim it, and its history."""

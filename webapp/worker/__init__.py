"""The worker process: separation of songs, its heartbeat, and upkeep."""

"""Messages about jobs to other programs: written first, delivered by the workers."""

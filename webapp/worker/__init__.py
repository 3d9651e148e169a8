"""What runs in a worker process: the separation, its heartbeat, and chores."""

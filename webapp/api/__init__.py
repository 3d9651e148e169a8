"""The REST API below /api/v1/, with a module for each resource. Views parse, call one command, and respond."""

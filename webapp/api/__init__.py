"""REST under /api/v1/, a module for each resource: parse, one verb, answer."""

"""Monitoring of the site: health, deployment checks, Prometheus, statistics."""

"""How the site is doing: health, deployment checks, Prometheus, statistics."""

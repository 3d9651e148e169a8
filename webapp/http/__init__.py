"""HTTP for both API and pages: problems, ranges, archives, limits, proxies, guests."""

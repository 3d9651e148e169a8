"""HTTP beneath the API and the pages: problems, ranges, archives, limits, guests."""

"""`setup` makes an installation ready; `serve` runs it."""

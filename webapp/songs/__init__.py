"""A song's life: what people do with it, how workers take it, and what happened to it."""

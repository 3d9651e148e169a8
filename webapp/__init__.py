"""The web site, its REST interface and its worker: the only package that knows Django."""

__version__ = "0.1.0"

"""The web site, its REST API and its worker: the only package that uses Django."""

__version__ = "0.1.0"

"""Uploads: resumable transfer, and validation."""

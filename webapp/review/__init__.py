"""Decisions of reviewers and administrators about jobs."""

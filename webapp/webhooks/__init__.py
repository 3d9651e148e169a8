"""Webhooks: messages about jobs, stored with the event and delivered by the workers."""

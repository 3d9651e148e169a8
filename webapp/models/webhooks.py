"""Webhooks and the messages that are sent to them."""

import uuid

from django.db import models
from django.utils import timezone

from webapp.models.accounts import User


class Webhook(models.Model):
    """An address that receives messages about its owner's jobs.

    events: kinds of event to announce; empty for all of them.
    previous_secret: also signs messages, until previous_until.
    busy_until: end of a sender's lease, so that a slow receiver keeps only one sender waiting.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(max_length=500)
    events = models.JSONField(default=list, blank=True)
    active = models.BooleanField(default=True)
    secret = models.CharField(max_length=100)
    previous_secret = models.CharField(max_length=100, blank=True)
    previous_until = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    busy_until = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """A message to a webhook and the attempts to send it.

    tries: attempts since the message was created or last sent again by hand.
    log: one dictionary for every attempt ever made, with at, seconds, status and error.
    """

    class State(models.TextChoices):
        """Another attempt may follow while a delivery is pending."""

        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=32)
    body = models.TextField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0)
    log = models.JSONField(default=list)
    due_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="delivery_due", condition=models.Q(state="pending"))]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.event} ({self.state})"

"""Accounts, the tokens by which programs act for them, and the music separated for them."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken


class User(AbstractUser):
    """An account. A guest has neither password nor chosen name and lives as long as its session.

    on_hold: an administrator keeps its queued jobs from starting.
    """

    is_guest = models.BooleanField(default=False)
    on_hold = models.BooleanField("on hold", default=False, db_index=True)

    class Meta(AbstractUser.Meta):
        indexes = [models.Index(fields=["date_joined"], name="user_guests", condition=models.Q(is_guest=True))]


class Scope(models.TextChoices):
    """How far a token goes: to look at things, to change them."""

    READ = "read"
    WRITE = "write"


class Token(AbstractAuthToken):
    """What a program shows to act for a member. Only its hash is kept; `expiry` may be None, for never."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=100)
    scopes = models.JSONField()
    last_used = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name

    @property
    def expired(self) -> bool:
        """Whether it was good once and is not any more."""
        return self.expiry is not None and self.expiry < timezone.now()


class Usage(models.Model):
    """Music that was separated for somebody. It stays when the song is deleted."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="usage")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    seconds = models.FloatField()

    def __str__(self) -> str:
        return f"{self.seconds / 60:.1f} min"

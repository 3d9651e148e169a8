"""User accounts, their API tokens, and the audio that counts towards their quotas."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken


class User(AbstractUser):
    """An account. A guest account has no password and a generated name, and lasts as long as its session.

    on_hold: an administrator keeps the account's queued jobs from starting.
    """

    is_guest = models.BooleanField(default=False)
    on_hold = models.BooleanField("on hold", default=False, db_index=True)

    class Meta(AbstractUser.Meta):
        indexes = [models.Index(fields=["date_joined"], name="user_guests", condition=models.Q(is_guest=True))]


class Scope(models.TextChoices):
    """What a token allows: reading, or changes as well."""

    READ = "read"
    WRITE = "write"


class Token(AbstractAuthToken):
    """An API token of a member. Only its hash is stored. A token whose `expiry` is None never expires."""

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
        return self.expiry is not None and self.expiry < timezone.now()


class Usage(models.Model):
    """Audio separated for a user, in seconds. The entry outlives the song, so that deleting songs frees no minutes."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="usage")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    seconds = models.FloatField()

    def __str__(self) -> str:
        return f"{self.seconds / 60:.1f} min"

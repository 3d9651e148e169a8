"""Guests who log in to an account of their own."""

from django.db import transaction

from webapp.models import Track, Upload, Usage, User


def adopt(guest: User, member: User) -> None:
    """Move everything a guest owns to the member's account, and delete the guest."""
    with transaction.atomic():
        Track.objects.filter(owner=guest).update(owner=member)
        Usage.objects.filter(user=guest).update(user=member)
        Upload.objects.filter(owner=guest).update(owner=member)
        guest.delete()

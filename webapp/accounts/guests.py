"""Guests who turn out to be members."""

from django.db import transaction

from webapp.models import Track, Upload, Usage, User


def adopt(guest: User, member: User) -> None:
    """Give everything of a guest's to the member it turned out to be."""
    with transaction.atomic():
        Track.objects.filter(owner=guest).update(owner=member)
        Usage.objects.filter(user=guest).update(user=member)
        Upload.objects.filter(owner=guest).update(owner=member)
        guest.delete()

"""File names that every system accepts."""

import re

LONGEST = 200  # characters of a title in a file's name, which has more to say and mostly may not be over 255


def tame(title: str) -> str:
    """A title as a file name that every system takes."""
    return re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", title)[:LONGEST].strip(" .") or "song"

"""File names that every operating system accepts."""

import re

MAX_TITLE = 200  # characters; the rest of the name has to fit into the usual limit of 255


def tame(title: str) -> str:
    """Turn a title into a file name that every operating system accepts."""
    return re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", title)[:MAX_TITLE].strip(" .") or "song"

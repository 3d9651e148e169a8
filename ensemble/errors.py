"""The one error tree. Messages are sentences for a musician: what is wrong and what to do next."""

import errno


class SeparationError(Exception):
    """Work that can't go on. permanent: trying again with the same input is pointless."""

    permanent = False

    def __init__(self, message: str, *, permanent: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if permanent is not None:
            self.permanent = permanent


class InvalidAudio(SeparationError):
    """The file can't be used as music."""

    permanent = True


class InvalidOption(SeparationError):
    """A request that names something we don't have: which option, with what value, and the allowed ones if few.

    A range is {"minimum": ..., "maximum": ...}.
    """

    permanent = True

    def __init__(self, message: str, option: str | None = None, value: object = None, allowed: object = None) -> None:
        super().__init__(message)
        self.option = option
        self.value = value
        self.allowed = allowed


class ModelUnavailable(SeparationError):
    """Weights that are missing, damaged or out of reach."""


def disk_is_full(error: BaseException | None) -> bool:
    """Whether this, or what caused it, is a disk without room, or a quota that is used up."""
    while error is not None:
        short_write = type(error) is OSError and error.errno is None  # NumPy's, when it could not write all of an array
        if short_write or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return True
        error = error.__cause__
    return False

"""Exceptions of all packages. Their messages are sentences for musicians: what is wrong, and what to do next."""

import errno


class SeparationError(Exception):
    """Base class of errors that stop a separation. permanent: retrying with the same input is pointless."""

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
    """A request names something unknown.

    option, value: which option, and its value. allowed: the allowed values if they are few, or a range as
    {"minimum": ..., "maximum": ...}.
    """

    permanent = True

    def __init__(self, message: str, option: str | None = None, value: object = None, allowed: object = None) -> None:
        super().__init__(message)
        self.option = option
        self.value = value
        self.allowed = allowed


class ModelUnavailable(SeparationError):
    """A model's weights are missing, damaged or out of reach."""


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, means a full disk or an exhausted quota."""
    while error is not None:
        short_write = type(error) is OSError and error.errno is None  # NumPy's, after a partial write of an array
        if short_write or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return True
        error = error.__cause__
    return False

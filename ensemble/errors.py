"""The one error tree. Messages are sentences for a musician: what is wrong and what to do next."""


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

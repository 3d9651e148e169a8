"""Levels in decibels. Pure functions on numbers and arrays."""

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.floating]


def decibels(ratio: Real | float, floor: float = 0.0) -> Real:
    """Convert ratios of powers or energies to decibels.

    Parameters
    ----------
    ratio
        Ratios of any shape, 0 or more.
    floor
        Lower limit of the ratios; with 0, a ratio of 0 gives -inf.

    Returns
    -------
    10 log10(ratio) in dB, of the shape and precision of `ratio`.
    """
    return np.asarray(10 * np.log10(np.maximum(ratio, floor)))


def gain_db(gain: Real | float) -> Real:
    """Convert amplitude gains of any shape, above 0, to decibels: 20 log10(gain)."""
    return np.asarray(20 * np.log10(gain))

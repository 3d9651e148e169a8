"""Overlap-add of a fixed-length function over a long signal, as a generator, in memory that doesn't grow with it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Array = NDArray[np.float32]

OVERLAP = 0.25  # of a segment, as Demucs does it


def stride_of(segment: int, overlap: float = OVERLAP) -> int:
    """Samples from the start of one segment to the start of the next."""
    return int((1 - overlap) * segment)


def blocks_of(length: int, segment: int, overlap: float = OVERLAP) -> int:
    """How many blocks overlap_add yields."""
    return len(range(0, length, stride_of(segment, overlap)))


def overlap_add(
    function: Callable[[Array], Array],
    read: Callable[[int, int], Array],
    length: int,
    segment: int,
    overlap: float = OVERLAP,
) -> Iterator[tuple[int, Array]]:
    """Yield (start, block) in time order; blocks are finished, adjoin, and cover 0 to length.

    function: (channels, segment) -> (..., segment), called once a block. read(start, stop): (channels, stop - start),
    zeros outside the signal. overlap: the share of a segment that the next one has in common with it. Segments start a
    stride apart and are cross-faded by triangular windows. A last, shorter one is given real context on both sides, so
    that it sits in the middle of what the function sees.
    """
    window = _triangle(segment)
    tail, weight = np.zeros(0, np.float32), np.zeros(segment, np.float32)
    for start, following in pairwise([*range(0, length, stride_of(segment, overlap)), length]):
        size = min(segment, length - start)
        lead = (segment - size) // 2
        estimate = function(read(start - lead, start - lead + segment))[..., lead : lead + size]
        estimate = estimate * window[:size]
        estimate[..., : tail.shape[-1]] += tail
        weight[:size] += window[:size]
        done = following - start
        yield start, estimate[..., :done] / weight[:done]
        tail = estimate[..., done:]
        weight = np.concatenate([weight[done:], np.zeros(done, np.float32)])


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same, each made in another thread while its predecessor is being used; never more than one is waiting."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]


def _triangle(size: int) -> Array:
    """Rising to 1 in the middle and never 0, so that every sample has weight."""
    half = size // 2
    ramp = np.concatenate([np.arange(1, half + 1), np.arange(size - half, 0, -1)])
    return np.asarray(ramp / ramp.max(), np.float32)

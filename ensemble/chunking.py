"""Overlap-add of a fixed-length function over a signal of any length, in constant memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Array = NDArray[np.float32]

OVERLAP = 0.25  # of a segment; Demucs' default


def stride_of(segment: int, overlap: float = OVERLAP) -> int:
    """Samples between the starts of two segments."""
    return int((1 - overlap) * segment)


def blocks_of(length: int, segment: int, overlap: float = OVERLAP) -> int:
    """Number of blocks that overlap_add yields."""
    return len(range(0, length, stride_of(segment, overlap)))


def overlap_add(
    function: Callable[[Array], Array],
    read: Callable[[int, int], Array],
    length: int,
    segment: int,
    overlap: float = OVERLAP,
) -> Iterator[tuple[int, Array]]:
    """Apply a function to overlapping segments of a signal and cross-fade the results.

    Segments start one stride apart and are weighted by triangular windows. The last segment, if shorter, is centred in
    the function's input with real context on both sides.

    Parameters
    ----------
    function
        (channels, segment) -> (..., segment), float32; called once per block.
    read
        read(start, stop) -> (channels, stop - start), with zeros outside the signal.
    length
        Samples of the signal.
    segment
        Samples that the function takes.
    overlap
        Share of a segment, 0 to below 1, that it has in common with the next one.

    Yields
    ------
    (start, block) in time order, where block is (..., n) float32. Blocks adjoin and cover 0 to `length`.
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
    """Compute each item in a background thread while the previous one is in use. At most one is waiting."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]


def _triangle(size: int) -> Array:
    """Triangle that peaks at 1 and never reaches 0, so that every sample has weight."""
    half = size // 2
    ramp = np.concatenate([np.arange(1, half + 1), np.arange(size - half, 0, -1)])
    return np.asarray(ramp / ramp.max(), np.float32)

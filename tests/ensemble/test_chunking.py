"""Overlap-add: exact, in order, lazy, and no larger in memory than a segment."""

import threading

import numpy as np
import pytest

from ensemble.chunking import OVERLAP, ahead, blocks_of, overlap_add, stride_of

SEGMENT = 1000


def reader(signal):
    def read(start, stop):
        padded = np.pad(signal, ((0, 0), (SEGMENT, SEGMENT)))
        return padded[:, start + SEGMENT : stop + SEGMENT].astype(np.float32)

    return read


@pytest.mark.parametrize("length", [1, 2, 499, 750, 751, 1000, 1001, 1500, 2250, 10_007])
@pytest.mark.parametrize("overlap", [0.1, OVERLAP])
def test_what_changes_nothing_comes_back_in_adjoining_blocks(length, overlap):
    signal = np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)
    blocks = list(overlap_add(lambda x: np.stack([x, -2 * x]), reader(signal), length, SEGMENT, overlap))
    assert len(blocks) == blocks_of(length, SEGMENT, overlap)
    starts = [start for start, _ in blocks]
    ends = np.cumsum([block.shape[-1] for _, block in blocks])
    assert starts == [0, *ends[:-1]] and ends[-1] == length
    whole = np.concatenate([block for _, block in blocks], axis=-1)
    np.testing.assert_allclose(whole, np.stack([signal, -2 * signal]), atol=1e-5)


def test_neighbours_are_cross_faded_by_triangles():
    """Each segment answers with its own number; between two there is a weighted mean, as from the definition."""
    answers = iter(range(100))
    blocks = overlap_add(lambda x: np.full_like(x, next(answers)), reader(np.zeros((1, 2500))), 2500, SEGMENT)
    found = np.concatenate([block for _, block in blocks], axis=-1)[0]
    triangle = np.minimum(np.arange(1, 1001), np.arange(1000, 0, -1)) / 500
    weighted, weight = np.zeros(2500), np.zeros(2500)
    for k, start in enumerate(range(0, 2500, stride_of(SEGMENT))):
        size = min(SEGMENT, 2500 - start)
        weighted[start : start + size] += k * triangle[:size]
        weight[start : start + size] += triangle[:size]
    np.testing.assert_allclose(found, weighted / weight, atol=1e-5)


def test_the_last_segment_is_given_context_on_both_sides():
    asked = []

    def read(start, stop):
        asked.append((start, stop))
        return np.zeros((1, stop - start), np.float32)

    list(overlap_add(lambda x: x, read, 1600, SEGMENT))
    assert asked == [(0, 1000), (750 - 75, 750 - 75 + 1000), (1500 - 450, 1500 - 450 + 1000)]


def test_blocks_leave_before_the_next_segment_is_read():
    calls = []

    def read(start, stop):
        calls.append(start)
        return np.zeros((1, stop - start), np.float32)

    blocks = overlap_add(lambda x: x, read, 100_000, SEGMENT)
    next(blocks)
    assert calls == [0]
    next(blocks)
    assert len(calls) == 2


def test_one_item_is_made_ahead_of_its_use_and_no_more():
    made = []
    second = threading.Event()

    def numbers():
        for number in range(5):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    items = ahead(numbers())
    assert made == []
    assert next(items) == 0
    assert second.wait(10)
    assert made == [0, 1]
    assert [*items] == [1, 2, 3, 4]


def test_what_making_an_item_raises_comes_out_where_it_is_used():
    def faulty():
        yield 1
        raise ValueError("broken")

    items = ahead(faulty())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_a_consumer_that_stops_ends_the_making():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = ahead(endless())
    next(items)
    items.close()
    del items
    assert closed.wait(10)

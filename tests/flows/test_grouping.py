"""The kernels against slow loops, empty input first."""

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.flows import grouping
from trace_go.flows.grouping import group, retransmitted, starts_of, unwrapped

NONE = np.zeros(0, np.int64)
keys = st.lists(st.tuples(st.integers(0, 2**61), st.integers(0, 2**52)), max_size=6).flatmap(
    lambda pool: st.lists(st.sampled_from(pool), max_size=60) if pool else st.just([])
)


def columns(rows: list[tuple[int, ...]], count: int) -> list[Any]:
    return [np.array([row[place] for row in rows], np.int64) for place in range(count)]


def grouped(rows: list[tuple[int, int]]) -> list[list[int]]:
    order, starts = group(*columns(rows, 2))
    return [part.tolist() for part in np.split(order, starts[1:])] if rows else []


def slowly_grouped(rows: list[tuple[int, int]]) -> list[list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(rows):
        found.setdefault(key, []).append(row)
    return sorted(found.values())


def test_doctests() -> None:
    assert doctest.testmod(grouping).attempted >= 4
    assert doctest.testmod(grouping).failed == 0


def test_empty() -> None:
    assert [part.tolist() for part in group(NONE, NONE)] == [[], []]
    assert starts_of(NONE).tolist() == []
    assert unwrapped(NONE, NONE, NONE).tolist() == []
    assert [part.tolist() for part in retransmitted(NONE, NONE, NONE, NONE)] == [[], []]


@given(keys)
def test_groups(rows: list[tuple[int, int]]) -> None:
    assert sorted(grouped(rows)) == slowly_grouped(rows)


def test_keys_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two different keys whose hashes agree above the row number."""
    one, other = colliding()
    rows = [one, other, one, (5, 5), other, one]
    assert sorted(grouped(rows)) == slowly_grouped(rows)
    sorts: list[int] = []
    lexsort = np.lexsort
    monkeypatch.setattr(np, "lexsort", lambda by: sorts.append(1) or lexsort(by))
    grouped(rows)
    assert sorts, "the hashes differ: this is no collision"
    grouped([one, (5, 5), one])
    assert sorts == [1]


def colliding() -> tuple[tuple[int, int], tuple[int, int]]:
    """x ^ x >> 29 of the mixed key decides: with high = 0 it is low times an odd number, which can be undone."""
    inverse = pow(0x9E3779B97F4A7C15, -1, 2**64)
    found = [target * inverse % 2**64 for target in (1 << 40, 1 << 40 | 1)]
    return (as_signed(found[0]), 0), (as_signed(found[1]), 0)


def as_signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


@given(st.lists(st.integers(0, 3), max_size=30))
def test_starts(labels: list[int]) -> None:
    expected = [row for row, label in enumerate(labels) if row == 0 or labels[row - 1] != label]
    assert starts_of(np.array(labels, np.intp)).tolist() == expected


runs = st.lists(st.tuples(st.integers(0, 2**33), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1)), max_size=5)
"""(where a run goes on, steps)"""


@given(runs)
def test_unwraps(sample: list[tuple[int, list[int]]]) -> None:
    seq, starts, expected = [], [], []
    for before, steps in sample:
        starts.append(len(seq))
        at = before
        for step in steps:
            at += step
            expected.append(at)
            seq.append(at % 2**32)
    before = np.array([start for start, _ in sample], np.int64)
    assert unwrapped(np.array(seq, np.int64), np.array(starts, np.intp), before).tolist() == expected


small = st.lists(
    st.tuples(st.integers(0, 30), st.lists(st.tuples(st.integers(-20, 40), st.integers(1, 9)), min_size=1)), max_size=5
)


@given(small)
def test_retransmissions(sample: list[tuple[int, list[tuple[int, int]]]]) -> None:
    """A segment is one when it ends at or before what its run has reached, one byte at the end excepted."""
    rows, starts, again, reaches = [], [], [], []
    for reach, segments in sample:
        starts.append(len(rows))
        for begin, length in segments:
            rows.append((begin, length))
            end = begin + length
            again.append(end < reach or (end == reach and length > 1))
            reach = max(reach, end)
        reaches.append(reach)
    reached = np.array([reach for reach, _ in sample], np.int64)
    mask, furthest = retransmitted(*columns(rows, 2), np.array(starts, np.intp), reached)
    assert mask.tolist() == again
    assert furthest.tolist() == reaches

"""Captures by other projects whose facts another tool found: none crashes or takes long, and the facts are equal.

The corpora are no part of the project: without them, or the folder that TRACE_GO_CORPORA names, the tests are skipped.
"""

import time
from typing import Any

import pytest

from corpora.differences import FOLDER, FREE_MB, KINDS, MOST_S_PER_MB, REASONS, differences, reason, refused, rows

ROWS = rows()
SHARE = 0.99
"""of the files that tshark reads must be equal in each kind of fact, whatever the reason where they differ; and equal
in all of them where tshark is right"""
needed = pytest.mark.skipif(not ROWS, reason=f"no corpora at {FOLDER}")
_told: dict[str, set[str]] = {}


@needed
@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"]) for row in ROWS])
def test_facts_equal_the_expected_or_differ_for_a_reason(row: dict[str, Any]) -> None:
    began = time.process_time()
    found = differences(row)
    assert time.process_time() - began < MOST_S_PER_MB * max(row["bytes"] / 1e6, FREE_MB)
    _told[row["file"]] = set(found)
    assert not found or reason(row), found


@needed
def test_nearly_all_are_equal_and_no_reason_is_idle() -> None:
    if len(_told) < len(ROWS):
        pytest.skip("not all files were compared")
    both = [_told[row["file"]] for row in ROWS if not refused(row)]
    for kind in KINDS:
        assert sum(kind not in found for found in both) >= SHARE * len(both), kind
    wrong = {row["file"] for row in ROWS if (why := reason(row)) and not why.scope}
    right = sum(not _told[row["file"]] or row["file"] in wrong for row in ROWS if not refused(row))
    assert right >= SHARE * len(both)
    assert {name for name in REASONS if not _told[name]} == set()

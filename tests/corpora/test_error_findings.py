"""Captures by other projects: no error is found in them that nobody has looked at."""

from typing import Any

import pytest

from corpora.differences import FOLDER, rows
from corpora.error_findings import errors, named, reason, reasons

ROWS = [row for row in rows() if named(row)]
needed = pytest.mark.skipif(not ROWS, reason=f"no corpora at {FOLDER}")
_met: set[tuple[str, str]] = set()


@needed
@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"]) for row in ROWS])
def test_each_error_has_its_reason(row: dict[str, Any]) -> None:
    assert list(errors(row)) == []
    for finding in errors(row, named(row)):
        why = reason(row["file"], finding.id)
        assert why, f"{finding.id}: {finding.title}"
        _met.add((why.files, why.check))


@needed
def test_no_reason_is_idle() -> None:
    if len(_met) < len(reasons()):
        pytest.skip("not all files were read")
    assert _met == {(item.files, item.check) for item in reasons()}

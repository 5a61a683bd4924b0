"""Captures by other projects with their key logs: the requests that another tool found inside."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from trace_go.model.tls import Opening
from trace_go.pipeline import Observed, Source, observe

FOLDER = Path(os.environ.get("TRACE_GO_CORPORA", Path(__file__).parents[2].parent / "shared" / "corpora"))
OLD = "Lekensteyn__wireshark-notes/"
"""every cipher suite of SSL 3.0 to TLS 1.2: only those with AES are read, and no compression"""


def rows() -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in (FOLDER / "truth_keylog.jsonl").read_text().splitlines()]
    except FileNotFoundError:
        return []


def read(row: dict[str, Any]) -> Observed:
    folder = FOLDER / "captures"
    logs = () if row["keylog"].startswith("(") else (str(folder / row["keylog"]),)
    return observe(Source(captures=(str(folder / row["file"]),), key_logs=logs))


@pytest.mark.skipif(not rows(), reason=f"no corpora at {FOLDER}")
@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"]) for row in rows()])
def test_requests_inside(row: dict[str, Any]) -> None:
    seen = read(row)
    assert seen.keys
    flows = seen.traffic.flows
    found = {(item.method, item.url.partition("://")[2].partition("/")[2]) for flow in flows for item in flow.exchanges}
    told = [line.split("|", 2) for line in row["http"] + row["http2"]]
    expected = {(method, path[1:]) for method, _, path in told}
    openings = {flow.tls.opening for flow in flows if flow.tls and flow.tls.server}
    if row["file"].startswith(OLD):
        assert found <= expected
        assert openings <= {Opening.OPENED, Opening.UNSUPPORTED, Opening.NO_KEYS}
    else:
        assert {path[:100] for _, path in found} >= {path[:100] for _, path in expected}
        assert openings <= {Opening.OPENED}

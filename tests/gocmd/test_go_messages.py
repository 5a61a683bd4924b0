"""go's error messages, from real runs (data/errors.toml), as kinds."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.gocmd.messages import KINDS, error_kind, parse_error

ERRORS = tomllib.loads((Path(__file__).parent / "data" / "errors.toml").read_text(encoding="utf-8"))["error"]


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: f"{case['kind']}-{case.get('status', '')}")
def test_messages(case: dict[str, Any]) -> None:
    found = parse_error(case["text"], 7)
    assert found is not None
    assert (found.text, found.line) == (case["text"], 7)
    assert {"kind": found.kind, "status": found.status, "module": found.module, "version": found.version} == {
        name: case.get(name) for name in ("kind", "status", "module", "version")
    }
    assert found.url == case.get("url")


def test_every_kind_has_a_sample() -> None:
    assert {case["kind"] for case in ERRORS} >= set(KINDS) - {"other-certificate"}
    assert error_kind("x509: no valid chains built") == ("other-certificate", None)


@pytest.mark.parametrize(
    "line",
    [
        "go: downloading example.test/m1 v1.0.0",
        "go: added example.test/m1 v1.0.0",
        "go: finding module for package example.test/m1",
        "go: found example.test/m1 in example.test/m1 v1.0.0",
        "go: to add module requirements and sums:",
        "go: upgraded example.test/m1 v1.0.0 => v1.0.1",
        'go: warning: "all" matched no packages',
        "go: no module dependencies to download",
        "go: creating new go.mod: module example.test/e",
        "./main.go:2:14: declared and not used: x",
        "main.go:3:8: example.test/m1@v1.0.1: missing go.sum entry for go.mod file; to add it:",
        "# example.test/e",
        "ok  \texample.test/e/sub\t0.004s",
        "Confirm the import path was entered correctly.",
        "",
    ],
)
def test_other_lines_are_no_errors(line: str) -> None:
    assert parse_error(line, 1) is None


def test_the_servers_words_do_not_make_the_kind() -> None:
    text = (
        "go: a.test/m@v1.0.0: reading https://m.test/x: 403 Forbidden\n\tserver response: unexpected EOF, no such host"
    )
    assert error_kind(text) == ("status", 403)


@given(st.text(max_size=300))
def test_never_raises(text: str) -> None:
    parse_error(text, 1)
    parse_error("go: " + text, 1)
    kind, status = error_kind(text)
    assert kind in KINDS
    assert status is None or 0 <= status <= 999

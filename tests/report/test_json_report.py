"""The JSON report against its own schema, and against text that is meant to break it."""

import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from report.made_reports import ALL, failed, healthy, packets_alone, poisoned, small
from report.test_terminal_report import HOSTILE, UNSAFE, check
from trace_go.model.report import Report
from trace_go.report.json import JsonReporter, schema
from trace_go.report.v1.report import SCHEMA
from trace_go.report.v1.values import time


def render(item: Report) -> str:
    out = io.StringIO()
    JsonReporter().render(item, out)
    return out.getvalue()


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("name", ALL)
def test_reports_are_valid(name: str, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(json.loads(render(ALL[name]())))


@pytest.mark.parametrize("name", ALL)
def test_hostile_reports_are_valid_too(name: str, validator: jsonschema.Draft202012Validator) -> None:
    text = render(poisoned(ALL[name](), HOSTILE))
    validator.validate(json.loads(text))
    assert not UNSAFE.search(text)
    assert text.encode("utf-8").decode("utf-8") == text


def test_report_of_an_attacker() -> None:
    check("hostile.json", render(poisoned(small(), HOSTILE)))


def test_the_schema_in_the_documentation_is_in_step() -> None:
    """`python scripts/schema.py` writes it again."""
    kept = Path(__file__).parents[2] / "docs" / "trace-go-1.schema.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == schema()


def test_the_schema_refuses_what_is_no_report(validator: jsonschema.Draft202012Validator) -> None:
    good = json.loads(render(failed()))
    assert not validator.is_valid({})
    assert not validator.is_valid({**good, "requests": None})
    assert not validator.is_valid({key: value for key, value in good.items() if key != "verdict"})


def test_design_fields_are_there() -> None:
    """The part of design.md that others rely on."""
    told = json.loads(render(packets_alone()))
    assert told["schema"] == SCHEMA == "trace-go/1"
    assert told["tool"] == {"name": "trace-go", "version": "1.2.3"}
    assert {"capture", "flows", "dns", "requests", "findings", "verdict"} <= set(told)
    flow = told["flows"][0]
    assert {"id", "client", "server", "first_packet", "start", "outcome", "timings", "bytes", "tls"} <= set(flow)
    assert flow["tunnel"]["authority"] == "proxy.golang.org:443"
    assert flow["tls"]["certificates"][0]["issuer"] == "CN=mitmproxy"
    request = told["requests"][0]
    assert {"url", "module", "version", "artifact", "attempt", "status", "handled_by", "claims_to_be"} <= set(request)
    assert {"hops", "timings", "bytes", "failure", "confidence", "evidence"} <= set(request)
    assert {"role", "host", "ip", "flow"} <= set(request["hops"][0])
    found = told["findings"][0]
    assert {"id", "severity", "confidence", "audience", "title", "detail", "evidence", "remedy", "key"} <= set(found)
    assert set(told["verdict"]) == {"status", "summary", "causes", "fix"}
    assert told["verdict"]["causes"] == [item["key"] for item in told["findings"]]


def test_evidence_points_at_packets_by_file() -> None:
    pieces = [piece for request in json.loads(render(packets_alone()))["requests"] for piece in request["evidence"]]
    for piece in pieces:
        assert (piece["packet"] is None) == (piece["file"] is None)
    assert {piece["file"] for piece in pieces if piece["packet"]} == {0, 1}


def test_redirects_show_in_hops() -> None:
    zips = [item for item in json.loads(render(healthy()))["requests"] if item["artifact"] == "zip"]
    assert {tuple((hop["role"], hop["redirected"]) for hop in item["hops"]) for item in zips} == {
        (("resolver", False), ("mirror", False), ("cdn", True))
    }


def test_text_comes_back_as_it_was() -> None:
    text = 'a"b\\c\x1b\u202e\x9b\U0001f600\u2028'
    told = json.loads(render(poisoned(failed(), text)))
    assert told["verdict"]["summary"] == text


def test_names_that_are_no_utf8_come_as_escapes() -> None:
    told = json.loads(render(poisoned(packets_alone(), "b\udcff.pcap")))
    assert told["capture"]["files"][1]["name"] == "b\\udcff.pcap"


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), max_size=60))
@example("\ud83d\ude00")
@example("\udc80")
def test_any_text(text: str) -> None:
    page = render(poisoned(failed(), text))
    assert not UNSAFE.search(page)
    expected = text.encode("utf-8", "backslashreplace").decode("utf-8")
    assert expected in strings(json.loads(page))


def test_long_texts_do_not_multiply() -> None:
    fields = len(strings(json.loads(render(failed()))))
    assert len(render(poisoned(failed(), "A" * 65_536))) < (fields + 10) * 66_000


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding_takes_it(encoding: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    text = "漢 é 😀 …"
    JsonReporter().render(poisoned(failed(), text), out)
    out.flush()
    assert json.loads(raw.getvalue().decode(encoding))["verdict"]["summary"] == text


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, None),
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456Z"),
        (1, "1970-01-01T00:00:00.000000Z"),
        (1 << 62, "2116-02-20T23:53:38.427387Z"),
        (-(1 << 70), None),
        (1 << 80, None),
    ],
)
def test_times(ns: int, expected: str | None) -> None:
    assert time(ns) == expected


def test_times_have_one_form() -> None:
    pattern = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    told = json.loads(render(failed()))
    assert all(pattern.fullmatch(flow["start"]) for flow in told["flows"])

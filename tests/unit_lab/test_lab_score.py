"""Scoring: what counts as right, wrong, not observable and absent, on reports made by hand."""

from typing import Any

import pytest

from lab.scenario import Expected, Outcome, Truth
from lab.score import Score, out_of_bounds, score

MIRROR = Expected(url="https://m.example/*", handled_by="mirror", hops=["resolver", "mirror"])
BROKEN_OPEN = Expected(
    url="https://i.example/*", handled_by="mitm", hops=["resolver", "interceptor", "mirror"], claims_to_be="m.example"
)
REFUSED = Expected(url="https://r.example/*", handled_by="none", hops=["resolver", "forward-proxy"])
TRUTH = Truth(
    status="ok",
    findings=[],
    requests=[MIRROR, BROKEN_OPEN, REFUSED],
    packets=Outcome(status="ok", findings=[]),
)


def row(url: str | None, handler: str, *hops: str, claims: str = "", host: str = "", **more: Any) -> dict[str, Any]:
    """A request of a report; a hop that ends in `!` is broken."""
    name = host or (url or "").split("/")[2]
    way = [{"role": hop.rstrip("!"), "host": name, "broken": hop.endswith("!")} for hop in hops]
    return {"url": url, "handled_by": handler, "claims_to_be": claims or None, "hops": way, "redirects": []} | more


def report(*rows: dict[str, Any], status: str = "ok", findings: tuple[str, ...] = ()) -> dict[str, Any]:
    verdict = {"status": status, "causes": [f"{name}:subject" for name in findings]}
    return {"requests": rows, "verdict": verdict, "findings": [{"id": name} for name in findings]}


def served(uri: str, agent: str = "GoCommand/1", host: str = "m.example") -> dict[str, Any]:
    return {"scheme": "https", "host": host, "uri": uri, "agent": agent}


def counts(one: Score) -> dict[str, int]:
    """The requests that were counted, by how."""
    every = {"right": one.right, "unseen": one.unseen, "wrong": one.wrong, "absent": one.absent}
    return {name: number for name, number in every.items() if number}


GOOD = row("https://m.example/a", "mirror", "resolver", "mirror")
REST = {"absent": 2}  # what the truth knows and these reports do not have: interceptor, refused


@pytest.mark.parametrize("kind", ["live", "bundle"])
@pytest.mark.parametrize(
    ("rows", "log", "expected"),
    [
        ([GOOD], [served("/a")], {"right": 1} | REST),
        ([row("https://m.example/a", "direct", "resolver", "mirror")], [served("/a")], {"wrong": 1} | REST),
        ([row("https://m.example/a", "unknown", "resolver", "mirror")], [served("/a")], {"wrong": 1} | REST),
        ([row("https://m.example/a", "mirror", "mirror")], [served("/a")], {"wrong": 1} | REST),
        ([row("https://m.example/a", "mirror", "resolver", "mirror", claims="x")], [], {"wrong": 1} | REST),
        ([GOOD], [served("/a"), served("/b")], {"right": 1, "absent": 3}),
        ([GOOD], [served("/a"), served("/b", agent="git/2.39")], {"right": 1} | REST),
        ([GOOD], [served("/b", agent="git/2.39")], {"wrong": 1} | REST),
        ([GOOD], [served("/a/info/refs", agent="git/2.39")], {"right": 1} | REST),
        ([GOOD], [], {"right": 1} | REST),
        ([GOOD | {"redirects": ["https://c.example/z"]}], [served("/a"), served("/z", host="c.example")],
         {"right": 1} | REST),
        ([row("https://m.example/!az", "mirror", "resolver", "mirror")], [served("/%21az")], {"right": 1} | REST),
        ([row("https://o.example/a", "mirror", "resolver", "mirror")], [], {"wrong": 1, "absent": 3}),
        ([row("https://r.example/a", "none", "resolver", "forward-proxy!", "mirror")], [], {"right": 1, "absent": 2}),
        ([row("https://r.example/a", "none", "resolver", "forward-proxy", "mirror!")], [], {"wrong": 1, "absent": 2}),
        ([row("https://i.example/a", "mitm", "resolver", "interceptor", "mirror", claims="m.example")], [],
         {"right": 1, "absent": 2}),
        ([row("https://i.example/a", "mitm", "resolver", "interceptor", "mirror", claims="n.example")], [],
         {"wrong": 1, "absent": 2}),
    ],
)  # fmt: skip
def test_requests_with_gos_account(
    kind: str, rows: list[dict[str, Any]], log: list[dict[str, Any]], expected: dict[str, int]
) -> None:
    assert counts(score(kind, report(*rows), TRUTH, log)) == expected


@pytest.mark.parametrize(
    ("one", "client", "gateway"),
    [
        (row(None, "mirror", "resolver", "mirror", host="m.example"), "right", "right"),
        (row(None, "mirror", "mirror", host="m.example"), "right", "right"),
        (row(None, "mirror", "mirror", "resolver", host="m.example"), "wrong", "wrong"),
        (row(None, "mirror", "resolver", "interceptor", "mirror", host="m.example"), "wrong", "wrong"),
        (row(None, "unknown", "resolver", "mirror", host="m.example"), "unseen", "unseen"),
        (row(None, "none", "resolver", "mirror!", host="m.example"), "unseen", "unseen"),
        (row(None, "direct", "resolver", "mirror", host="m.example"), "wrong", "wrong"),
        (row(None, "none", "resolver", "forward-proxy!", host="r.example"), "right", "right"),
        (row(None, "mirror", "resolver", "mirror", host="r.example"), "wrong", "unseen"),
        (row(None, "mitm", "resolver", "interceptor", host="r.example"), "wrong", "wrong"),
        (row(None, "mirror", "resolver", "mirror", host="i.example"), "wrong", "unseen"),
        (row(None, "unknown", "resolver", "cdn", host="o.example"), "unseen", "unseen"),
        (row(None, "direct", "resolver", "origin", host="o.example"), "wrong", "wrong"),
        (row("https://m.example/a", "mirror", "resolver", "mirror"), "right", "right"),
        (row("http://m.example/a", "mirror", "resolver", "mirror"), "wrong", "wrong"),
    ],
)
def test_connections_from_packets_alone(one: dict[str, Any], client: str, gateway: str) -> None:
    assert counts(score("packets", report(one), TRUTH, [])) == {client: 1}
    assert counts(score("beyond", report(one), TRUTH, [])) == {gateway: 1}


def test_findings_cause_and_status_are_those_of_the_input() -> None:
    truth = Truth(
        status="failed",
        cause="b",
        findings=["a", "b"],
        requests=[],
        packets=Outcome(status="degraded", cause="a", findings=["a"]),
    )
    told = report(status="failed", findings=("b", "a"))
    live, packets, beyond = (score(kind, told, truth, []) for kind in ("live", "packets", "beyond"))
    assert live == Score(expected="b")
    notes = ("first cause b, not a", "verdict failed, not degraded")
    assert packets == Score(expected="a", cause=False, status=False, false=("b",), notes=notes)
    assert beyond == Score()
    silent = score("live", report(), truth, [])
    assert silent.flaws == {"cause", "status", "missed a", "missed b"}


def test_keys_show_the_truth_or_what_packets_show() -> None:
    packets = Outcome(status="degraded", cause="a", findings=["a", "b"])
    truth = Truth(status="failed", cause="c", findings=["b", "c"], requests=[MIRROR], packets=packets)
    rows = [GOOD, row(None, "unknown", "resolver", "mirror", host="m.example")]
    for status, findings in (("failed", ("c", "b")), ("degraded", ("a", "b"))):
        told = report(*rows, status=status, findings=findings)
        assert score("keys", told, truth, [served("/a")]) == Score(expected=findings[0], right=1, unseen=1)
    told = report(*rows, status="ok", findings=("d", "a"))
    assert score("keys", told, truth, [served("/b")]).flaws == {"cause", "status", "missed b", "false d", "absent"}


@pytest.mark.parametrize(
    ("kind", "bounds", "right"),
    [
        ("requests", (2, 2), True),
        ("requests", (1, 9), True),
        ("requests", (0, 1), False),
        ("requests", (3, 9), False),
        ("answer-bytes", (10, 10), True),
        ("answer-bytes", (0, 40), True),
        ("answer-bytes", (40, 50), True),
        ("answer-bytes", (0, 9), False),
        ("answer-bytes", (41, 50), False),
        ("closed-unused", (None, None), True),
    ],
)
def test_what_is_inferred_holds(kind: str, bounds: tuple[int | None, int | None], right: bool) -> None:
    """The second of two answers, of 30 bytes, was cut off."""
    item = {"kind": kind, "least": bounds[0], "most": bounds[1], "text": "it"}
    sent = [{"body_bytes": 10, "duration_s": 0.1}, {"body_bytes": 30, "duration_s": None}]
    closed, opened = {"requests": [{"hops": [{"flow": 0}], "inferred": [item]}]}, {"flows": [{"http": sent}]}
    assert (out_of_bounds(closed, opened) == []) is right


def test_state_does_not_depend_on_numbers() -> None:
    assert Score(right=3, unseen=1).state == Score(right=1).state == set()
    assert Score(unseen=2).state == {"not observable"}
    assert Score().state == {"nothing listed"}
    assert Score(right=1, wrong=2).state == Score(right=5, wrong=1).state == {"wrong"}

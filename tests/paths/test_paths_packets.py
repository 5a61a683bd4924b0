"""Rows from decrypted requests: repeats, redirects, storage behind a mirror, git; beside go's account they win."""

from typing import Any

import pytest
from msgspec.structs import replace

from paths.made import MS, OTHER, START, Log, Net, exchange, ledger
from trace_go.model.evidence import EvidenceKind
from trace_go.model.flow import Outcome, Reset
from trace_go.model.http import HTTP2, Exchange
from trace_go.model.ledger import Artifact, HandledBy, Request, Role

BASE = "https://proxy.golang.org/example.com/a/@v"
ZIP, MOD = f"{BASE}/v1.0.0.zip", f"{BASE}/v1.0.0.mod"
STORED = "https://storage.example/a.zip?X-Goog-Signature=xxxxx"
GIT = "https://git.example/a.git"


def opened(*asked: tuple[Any, ...], **changes: Any) -> list[Exchange]:
    """Decrypted exchanges a millisecond apart, from (url, status, further fields)."""
    made = []
    for number, (url, status, *more) in enumerate(asked):
        at_ns = START + number * MS
        times = {"request_ns": at_ns, "response_ns": at_ns + MS // 2 if status else 0, "stream": 2 * number + 1}
        times["end_ns"] = times["response_ns"]
        made.append(exchange(url, status, **{"decrypted": True, **times, **changes, **(more[0] if more else {})}))
    return made


def told(*asked: tuple[Any, ...], log: Log | None = None, **changes: Any) -> tuple[Request, ...]:
    net = Net()
    net.flow(tls=True, exchanges=opened(*asked, **changes))
    return ledger(net, log)


def test_a_repeat_after_404_is_one_row() -> None:
    row, other = told((MOD, 404), (MOD, 404), (ZIP, 200))
    assert (row.url, row.status, row.repeats, other.repeats) == (MOD, 404, 1, 0)
    assert [item.kind for item in row.evidence][:2] == [EvidenceKind.PACKET] * 2
    assert "decrypted, stream 1" in row.evidence[0].text


def test_a_repeat_after_a_403_behind_a_redirect_is_one_row() -> None:
    away = (ZIP, 302, {"location": STORED})
    net = Net()
    net.flow(tls=True, exchanges=opened(away, (MOD, 200), away))
    there = opened((STORED, 403, {"request_ns": START + MS // 2}), (STORED, 403, {"request_ns": START + 3 * MS}))
    net.flow("storage.example", OTHER, tls=True, exchanges=there)
    row, other = ledger(net)
    assert (row.status, row.repeats, row.redirects, other.url) == (403, 1, (STORED,), MOD)


def test_an_unanswered_request_is_repeated_too() -> None:
    (row,) = told((MOD, None), (MOD, 200))
    assert (row.status, row.repeats, row.failure) == (200, 1, None)


def test_two_requests_for_the_same_are_two_rows() -> None:
    rows = told((MOD, 200), (MOD, 200))
    assert [row.repeats for row in rows] == [0, 0]


def test_a_connection_that_an_agent_passes_on_is_told_once() -> None:
    """Seen before and behind the agent, with one ClientHello."""
    for exchanges in ([], opened((MOD, 200), (ZIP, 200))):
        net = Net()
        near = net.through_proxy(ip="127.0.0.1", tls=True, exchanges=exchanges)
        net.through_proxy(tls=True, exchanges=exchanges)
        net.flows[1] = replace(net.flows[1], tls=near.tls)
        rows = ledger(net)
        assert len(rows) == max(1, len(exchanges))
        assert {hop.flow for row in rows for hop in row.hops} == {near.id}


def test_not_found_here_and_asked_elsewhere_is_no_failure() -> None:
    there = "https://mirror.example/example.com/a/@v/v1.0.0.mod"
    assert [row.failure for row in told((MOD, 404), (there, 200))] == [None, None]
    origin = "https://example.com/a?go-get=1"
    assert [row.failure for row in told((MOD, 404), (origin, 200))] == [None, None]
    (alone,) = told((MOD, 404))
    assert alone.failure is not None
    assert alone.failure.kind == "status-404"


CUT = {"end_ns": 0}


@pytest.mark.parametrize(
    ("end", "way", "kind"),
    [
        (CUT, {"outcome": Outcome.RESET}, "reset"),
        (CUT, {"outcome": Outcome.STALLED}, "stalled"),
        (CUT, {"server_closed_first": True}, "unexpected-eof"),
        (CUT | {"version": HTTP2, "body_bytes": -1}, {"server_closed_first": True}, "unexpected-eof"),
        (CUT | {"aborted": "INTERNAL_ERROR from the server"}, {}, "stream-error"),
        (CUT | {"aborted": "CANCEL from the client"}, {}, None),
        (CUT, {}, None),  # the client left, or the capture ended
        (CUT | {"body_bytes": -1}, {"server_closed_first": True}, None),  # that is how the answer ends
        ({}, {"outcome": Outcome.RESET}, None),
    ],
)
def test_an_answer_without_its_end(end: dict[str, Any], way: dict[str, Any], kind: str | None) -> None:
    net = Net()
    net.flow(tls=True, exchanges=opened((MOD, 200), (ZIP, 200, end)), **way)
    net.flow(tls=True, outcome=Outcome.IDLE)
    row, cut = ledger(net)
    assert row.failure is None
    assert cut.status == 200
    assert (cut.failure and cut.failure.kind) == kind


def test_what_came_behind_a_forged_reset_never_came_to_the_client() -> None:
    for late, kind in ((-1, None), (1, "reset")):
        net = Net()
        flow = net.flow(tls=True, outcome=Outcome.RESET)
        reset = Reset(packet=9, time_ns=START + 5 * MS, from_client=False, ttl=60)
        asked = opened((ZIP, 200, {"end_ns": reset.time_ns + late}))
        net.flows[0] = replace(flow, exchanges=tuple(asked), reset=reset)
        (row,) = ledger(net)
        assert (row.failure and row.failure.kind) == kind


@pytest.mark.parametrize("asked_in_clear", [False, True])
def test_a_redirect_to_plain_http_is_refused_unless_it_is_asked(asked_in_clear: bool) -> None:
    net, target = Net(), "http://storage.example/a.zip"
    net.flow(tls=True, exchanges=opened((ZIP, 302, {"location": target})))
    if asked_in_clear:  # by another client than go's for modules
        net.flow("storage.example", OTHER, 80, exchanges=[exchange(target, request_ns=START + 2 * MS)])
    (row,) = ledger(net)
    assert (row.failure and row.failure.kind) == (None if asked_in_clear else "insecure-redirect")


def test_the_storage_breaks_off() -> None:
    net = Net()
    net.flow(tls=True, exchanges=opened((ZIP, 302, {"location": STORED})))
    asked = opened((STORED, 200, CUT | {"request_ns": START + 2 * MS}))
    net.flow("storage.example", OTHER, tls=True, exchanges=asked, outcome=Outcome.RESET)
    (row,) = ledger(net)
    assert row.failure is not None
    assert (row.failure.kind, [hop.broken for hop in row.hops]) == ("reset", [False, True])


def redirected(net: Net) -> None:
    asked = (ZIP, 302, {"location": STORED, "body_bytes": 100})
    net.flow(tls=True, exchanges=opened(asked))
    stored = (STORED, 200, {"referer": ZIP, "body_bytes": 5000, "request_ns": START + 9 * MS})
    net.flow("storage.example", OTHER, tls=True, exchanges=opened(stored))


def test_both_legs_of_a_redirect_are_one_row() -> None:
    net = Net()
    redirected(net)
    (row,) = ledger(net)
    assert (row.url, row.status, row.redirects, row.bytes_down) == (ZIP, 200, (STORED,), 5000)
    assert [(hop.role, hop.flow) for hop in row.hops] == [(Role.MIRROR, 0), (Role.CDN, 1)]
    assert row.handled_by is HandledBy.MIRROR


def test_packets_fill_what_go_does_not_log() -> None:
    net, log = Net(), Log()
    redirected(net)
    log.get(ZIP)
    (row,) = ledger(net, log)
    assert (row.status, row.redirects, row.bytes_down, len(row.hops)) == (200, (STORED,), 5000, 2)
    log = Log()
    log.get(MOD, 404)
    (row,) = told((MOD, 404), (MOD, 404), log=log)
    assert row.repeats == 1


def test_the_second_leg_alone_is_told_by_its_referer() -> None:
    net = Net()
    net.flow("storage.example", OTHER, tls=True, exchanges=opened((STORED, 200, {"referer": ZIP})))
    (row,) = ledger(net)
    assert (row.url, row.module, row.version, row.artifact) == (STORED, "example.com/a", "v1.0.0", Artifact.ZIP)


def test_decrypted_git_is_told_request_by_request() -> None:
    refs, pack = f"{GIT}/info/refs?service=git-upload-pack", f"{GIT}/git-upload-pack"
    log = Log()
    log.git(GIT)
    net = Net()
    net.flow(
        "git.example", OTHER, client="git", tls=True, exchanges=opened((refs, 200), (pack, 200), user_agent="git/2")
    )
    rows = ledger(net, log)
    assert [(row.artifact, row.url, row.status) for row in rows] == [
        (Artifact.GIT, refs, 200),
        (Artifact.GIT, pack, 200),
    ]


def test_the_http2_log_does_not_double_what_packets_show() -> None:
    log = Log()
    log.http2(MOD, 200)
    (row,) = told((MOD, 200), log=log)
    assert row.url == MOD


def test_a_stream_that_was_reset() -> None:
    (row,) = told((MOD, None, {"aborted": "INTERNAL_ERROR from the server"}))
    assert row.failure is not None
    assert (row.failure.kind, row.failure.text) == ("stream-error", "INTERNAL_ERROR from the server")

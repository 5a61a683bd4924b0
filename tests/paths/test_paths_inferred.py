"""What sizes of TLS 1.3 records tell; the lab's scoreboard holds the bounds against what the keys show."""

from typing import Any

import pytest
from msgspec.structs import replace

from paths.made import Net, ledger
from trace_go.flows.tls_tracker import MAX_SIZES
from trace_go.model.evidence import Confidence, EvidenceKind, Visibility
from trace_go.model.flow import Flow, Outcome
from trace_go.model.tls import TlsState
from trace_go.paths.inferred import inferred

OF_127 = (87, 103, 56, 26, 56, 72, 71, 61, 57, 60, 30, 43, 62, 60, 77)
"""as decrypted: 11 requests; 26 acknowledges settings, 30 and 43 are WINDOW_UPDATE"""
OF_REPEATS = (87, 106, 57, 26, 46, 32, 61, 32)
"""a repeat of a request is 32; one of a short path looks like control frames"""


def told(*records: int, answered: int = 0, client: str = "go 1.27", outcome: Outcome = Outcome.OK) -> Flow:
    flow = Net().flow(tls=True, outcome=outcome)
    assert flow.tls
    return replace(flow, tls=replace(flow.tls, client=client, client_records=records, answered_bytes=answered))


@pytest.mark.parametrize(
    ("records", "bounds", "text"),
    [
        (OF_127, (11, 12), "11 to 12 requests in HTTP/2"),
        (OF_REPEATS, (6, 6), "6 requests in HTTP/2"),
        ((81, 87, 26), (1, 1), "1 request in HTTP/2"),
        ((81, 26, 19), (0, 0), "0 requests in HTTP/2"),
        ((81, 1207, 400, 61), (2, 3), "2 to 3 requests in HTTP/2"),  # one with long headers, in two records
        ((162, 183, 170, 19), (3, 3), "3 requests in HTTP/1.1"),
        ((1207, 60, 150), (2, 3), "2 to 3 requests in HTTP/1.1"),
    ],
)
def test_requests(records: tuple[int, ...], bounds: tuple[int, int | None], text: str) -> None:
    (asked, _) = inferred(told(*records))
    assert (asked.kind, asked.least, asked.most, asked.text) == ("requests", *bounds, text)
    assert asked.confidence is Confidence.HIGH


def test_requests_beyond_the_records_that_are_kept() -> None:
    records = (87, *[61] * (MAX_SIZES - 1))
    flow = told(*records)
    for more, most in ((0, 511), (36, 511), (37, 512), (3_700, 611)):
        (asked, _) = inferred(replace(flow, bytes_up=sum(records) + 5 * MAX_SIZES + more))
        assert (asked.least, asked.most) == (511, most)


@pytest.mark.parametrize(
    ("answered", "bounds"), [(0, (0, 0)), (500, (0, 478)), (1_000_000, (972_547, 999_978)), (5_000, (2_604, 4_978))]
)
def test_answers(answered: int, bounds: tuple[int, int]) -> None:
    (_, answers) = inferred(told(81, 87, 26, answered=answered))
    assert (answers.kind, answers.least, answers.most) == ("answer-bytes", *bounds)
    assert answers.confidence is Confidence.MEDIUM


@pytest.mark.parametrize(
    "records", [(), (26, 30), (98,), (68,)], ids=["nothing", "control frames", "too short", "too few settings"]
)
def test_what_does_not_begin_as_gos_do_tells_nothing(records: tuple[int, ...]) -> None:
    assert inferred(told(*records)) == ()


def test_other_clients_tell_nothing() -> None:
    for client in ("git (libcurl with GnuTLS)", "program built with Go", ""):
        assert inferred(told(*OF_127, client=client)) == ()


def test_closed_behind_the_handshake() -> None:
    (found,) = inferred(told(19, outcome=Outcome.IDLE))
    assert (found.kind, found.least, found.confidence) == ("closed-unused", None, Confidence.HIGH)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (TlsState.REFUSED_BY_CLIENT, "certificate-refused"),
        (TlsState.REFUSED_BY_SERVER, "client-certificate-refused"),
    ],
)
def test_refusals(state: TlsState, kind: str) -> None:
    flow = told()
    assert flow.tls
    changes: dict[str, Any] = {"state": state, "refusal_visibility": Visibility.INFERRED}
    (found,) = inferred(replace(flow, tls=replace(flow.tls, **changes)))
    assert found.kind == kind


def test_the_row_of_the_connection_says_so() -> None:
    net = Net()
    net.flows.append(told(*OF_127, answered=90_000))
    (row,) = ledger(net)
    assert (row.url, row.visibility) == (None, Visibility.NOT_OBSERVABLE)
    assert [item.kind for item in row.inferred] == ["requests", "answer-bytes"]
    assert {item.text for item in row.inferred} <= {
        item.text for item in row.evidence if item.kind is EvidenceKind.INFERENCE
    }

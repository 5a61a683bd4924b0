"""injected-data: an answer ahead of the mirror's; what is lost and sent again is alike."""

import pytest
from msgspec.structs import replace

from checks.conftest import Run, checks_of
from paths.made import MS, START, Net, ledger
from trace_go.checks.catalogue import injected_data
from trace_go.checks.interference import too_soon
from trace_go.model.flow import Flow, Outcome, Twice
from trace_go.model.go import GoAccount
from trace_go.model.report import Case


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "injected-data:mirror.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert found.title == "Somebody on the way answered in the name of mirror.corp.example"
    assert "TTL 46, the second with TTL 62: from another distance" in found.detail
    forged, own = (frame for frame in fires.frames(found) if frame.payload)
    assert forged.payload.startswith(b"HTTP/1.1 403 Forbidden")
    assert own.payload.startswith(b"HTTP/1.1 200 OK")
    assert checks_of(fires.whole) == {"injected-data", "plain-http-mirror"}
    request = next(item for item in fires.whole.requests if item.failure)
    assert (request.handled_by, request.failure and request.failure.kind) == ("mitm", "forged-answer")
    assert [hop.role for hop in request.hops if hop.broken] == ["interceptor"]


def test_silent(silent: Run) -> None:
    assert silent.found == []


def test_what_is_lost_and_sent_again_is_alike(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"packet-loss"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_takes_the_mirrors_word(fires: Run) -> None:
    assert "mirror-status-stops-list" in checks_of(fires.account)


def made(**changes: object) -> Case:
    """A refused handshake, in a stream that says two things in one place."""
    twice = Twice(from_client=False, packet=9, time_ns=START, ttl=60, then_packet=12, then_ttl=60, then_ns=START + 1)
    net = Net()
    flow = net.flow(outcome=Outcome.REFUSED_HANDSHAKE)
    net.flows[flow.id] = replace(flow, twice=replace(twice, **changes))
    requests = ledger(net)
    account = GoAccount()
    flows = net.traffic.flows
    return Case(files=(), flows=flows, lookups=(), judgements=(), account=account, requests=requests, seeing=())


def test_without_another_distance_it_is_less_sure() -> None:
    assert [item.confidence for item in injected_data.find(made())] == ["medium"]
    assert [item.confidence for item in injected_data.find(made(ttl=47))] == ["high"]


def test_what_the_client_sent_twice_is_another_matter() -> None:
    assert list(injected_data.find(made(from_client=True))) == []


@pytest.mark.parametrize(
    ("connect_ms", "after_ms", "told"), [(20, 2, True), (20, 11, False), (3, 1, False), (0, 1, False), (20, -1, False)]
)
def test_too_soon(connect_ms: int, after_ms: int, told: bool) -> None:
    flow: Flow = Net().flow()
    times = {"syn_ns": START, "syn_ack_ns": START + connect_ms * MS, "first_up_ns": START + 30 * MS}
    text = too_soon(replace(flow, **times), START + (30 + after_ms) * MS)
    assert bool(text) == told
    assert not told or text == ", 2.0 ms after what it answers: the SYN-ACK took 20.0 ms"

import pytest
from msgspec import structs

from paths.made import Net
from trace_go.gocmd.messages import KINDS
from trace_go.model.chain import ChainFault
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Outcome
from trace_go.model.ledger import Stage
from trace_go.model.tls import TlsState
from trace_go.paths.failures import (
    ANSWERED,
    CERTIFICATE_KINDS,
    OUTCOMES,
    SHARED,
    STAGES,
    UNSENT,
    failure,
    of_flow,
    of_lookup,
    sharpened,
)

FINE = {Outcome.OK, Outcome.IDLE, Outcome.OPEN, Outcome.PARTIAL}


def test_every_kind_that_go_tells_has_its_stage() -> None:
    elsewhere = {"other", "bad-response", "unknown-revision", "unrecognized-import", "disabled-by-off"}
    elsewhere |= {"invalid-setting", "invalid-url", "sumdb-off"}
    assert set(KINDS) - elsewhere <= set(STAGES)


def test_tables_speak_one_vocabulary() -> None:
    known = set(STAGES) | set(KINDS)
    assert set(OUTCOMES) | CERTIFICATE_KINDS | SHARED | ANSWERED | UNSENT <= known


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("status", 403, (Stage.STATUS, "status-403")),
        ("status", None, (Stage.STATUS, "status")),
        ("nxdomain", None, (Stage.DNS, "nxdomain")),
        ("proxy-refused", 407, (Stage.PROXY, "proxy-refused")),
        ("other", None, (Stage.RESPONSE, "other")),
    ],
)
def test_failure(kind: str, status: int | None, expected: tuple[Stage, str]) -> None:
    found = failure(kind, "text", status)
    assert (found.stage, found.kind, found.text) == (*expected, "text")


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_either_fine_or_a_failure(outcome: Outcome) -> None:
    flow = Net().flow(outcome=outcome)
    found = of_flow(flow, None)
    assert (found is None) == (outcome in FINE)
    if found:
        assert found.kind in STAGES
        assert found.text


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"outcome": Outcome.RESET}, "reset"),
        ({"outcome": Outcome.RESET, "tls": False}, "reset"),
        ({"outcome": Outcome.SILENT}, "handshake-timeout"),
        ({"outcome": Outcome.SILENT, "tls": False}, "response-timeout"),
        ({"outcome": Outcome.CLOSED_IN_HANDSHAKE, "tls": False}, "eof"),
    ],
)
def test_kinds_that_depend_on_tls(changes: dict[str, object], kind: str) -> None:
    found = of_flow(Net().flow(**changes), None)  # type: ignore[arg-type]
    assert found
    assert found.kind == kind


def test_a_reset_in_the_handshake() -> None:
    net = Net()
    found = of_flow(structs.replace(net.flow(outcome=Outcome.SILENT), outcome=Outcome.RESET), None)
    assert found
    assert (found.kind, found.stage) == ("reset-in-handshake", Stage.TLS)


def test_the_proxy_says_why_it_refuses() -> None:
    net = Net()
    refused = of_flow(net.through_proxy(status=403), None)
    silent = of_flow(net.through_proxy(status=None, outcome=Outcome.SILENT, tls=False), None)
    assert refused
    assert refused.text == "the forward proxy answered CONNECT with 403 Forbidden"
    assert silent
    assert silent.kind == "proxy-timeout"


def test_icmp_is_quoted() -> None:
    found = of_flow(Net().flow(outcome=Outcome.UNREACHABLE, icmp="host unreachable"), None)
    assert found
    assert "host unreachable" in found.text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (ChainFault.EXPIRED, "expired"),
        (ChainFault.NOT_YET_VALID, "not-yet-valid"),
        (ChainFault.NAME_MISMATCH, "wrong-name"),
        (ChainFault.COMMON_NAME_ONLY, "common-name-only"),
        (ChainFault.SELF_SIGNED, "unknown-authority"),
        (ChainFault.INCOMPLETE, "unknown-authority"),
        (ChainFault.OTHER, "other-certificate"),
        (ChainFault.UNREADABLE, "unreadable"),
        (None, "certificate-rejected"),
    ],
)
def test_why_a_certificate_was_refused(fault: ChainFault | None, kind: str) -> None:
    net = Net()
    flow = net.flow(outcome=Outcome.REJECTED_CERTIFICATE)
    judgement = net.judge(flow, trusted=fault is None, fault=fault, detail="the leaf expired")
    found = of_flow(flow, judgement)
    assert found
    assert found.kind == kind
    assert found.kind in CERTIFICATE_KINDS
    assert ("not observable" in found.text) == (fault is None)  # a chain that our store trusts explains nothing


@pytest.mark.parametrize(
    ("rcode", "addresses", "kind"),
    [
        ("NXDOMAIN", [], "nxdomain"),
        ("SERVFAIL", [], "dns-failure"),
        ("REFUSED", [], "dns-failure"),
        (None, [], "dns-timeout"),
        ("NOERROR", [], None),  # no AAAA record
        ("NOERROR", ["203.0.113.10"], None),
        ("NXDOMAIN", ["203.0.113.10"], None),  # another answer had one
    ],
)
def test_lookups(rcode: str | None, addresses: list[str], kind: str | None) -> None:
    found = of_lookup(Net().resolve("h.example", *addresses, rcode=rcode))
    assert (found.kind if found else None) == kind
    if found:
        assert found.stage is Stage.DNS
        assert "h.example" in found.text


@pytest.mark.parametrize(("fault", "kind"), [(ChainFault.UNREADABLE, "unreadable"), (ChainFault.EXPIRED, "tls-alert")])
def test_other_alerts_of_the_client_that_are_about_its_certificate(fault: ChainFault, kind: str) -> None:
    """crypto/tls sends decode_error and illegal_parameter for what it cannot read or verify by."""
    net = Net()
    flow = net.flow(outcome=Outcome.REFUSED_HANDSHAKE)
    assert flow.tls
    flow = structs.replace(flow, tls=structs.replace(flow.tls, state=TlsState.REFUSED_BY_CLIENT))
    found = of_flow(flow, net.judge(flow, trusted=False, fault=fault, detail="is of no use"))
    assert found
    assert found.kind == kind


def test_a_chain_in_order_that_the_client_refused() -> None:
    net = Net()
    flow = net.flow(outcome=Outcome.REJECTED_CERTIFICATE)
    found = of_flow(flow, net.judge(flow, trusted=True, visibility=Visibility.SEEN))
    assert found
    assert "in order by the trust store (system)" in found.text


@pytest.mark.parametrize(
    ("outcome", "kind", "text"),
    [
        (Outcome.SILENT, "proxy-timeout", "the forward proxy did not answer CONNECT"),
        (Outcome.RESET, "proxy-closed", "the forward proxy reset the connection instead of answering CONNECT"),
        (Outcome.CLOSED_IN_HANDSHAKE, "proxy-closed", "the forward proxy closed the connection instead of answering"),
    ],
)
def test_a_proxy_that_does_not_answer(outcome: Outcome, kind: str, text: str) -> None:
    flow = Net().through_proxy(status=None, outcome=outcome, tls=False)
    found = of_flow(flow, None)
    assert found
    assert (found.kind, found.stage) == (kind, Stage.PROXY)
    assert found.text.startswith(text)
    assert sharpened(failure("eof", "EOF"), flow) == found
    assert sharpened(failure("refused", "no"), flow).kind == "refused"
    assert flow.tunnel
    other = structs.replace(flow, tunnel=structs.replace(flow.tunnel, reason="not HTTP"))
    alien = of_flow(other, None)
    assert alien
    assert (alien.kind, alien.text) == ("proxy-protocol", "the forward proxy answers not HTTP to CONNECT")


def test_an_open_tunnel_does_not_sharpen() -> None:
    net = Net()
    assert sharpened(failure("eof", "EOF"), net.through_proxy(outcome=Outcome.CLOSED_IN_HANDSHAKE)).kind == "eof"
    assert sharpened(failure("eof", "EOF"), None).kind == "eof"

"""Which packets and log lines prove a finding: of a failed connection the packet that decided it, not its first."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from trace_go.model import evidence
from trace_go.model.chain import Judgement
from trace_go.model.dns import Lookup
from trace_go.model.evidence import FILE_SHIFT, Evidence, EvidenceKind, Visibility, file_of
from trace_go.model.flow import Flow, Outcome, Tunnel
from trace_go.model.ledger import Request
from trace_go.model.report import Case
from trace_go.model.tls import TlsState
from trace_go.wire.tls_names import alert_name

MAX_EVIDENCE = 5
"""pieces shown per finding; the rest are more of the same"""
MAX_NS = 1 << 63
"""later than any packet"""
KEPT_FOR_OTHERS = 2
"""places that packets leave to log lines and probes"""


def chosen(pieces: Iterable[Evidence], case: Case | None = None) -> tuple[Evidence, ...]:
    """At most MAX_EVIDENCE pieces, packets first and in their order; each packet once, as it was first told.

    case: tells the order of packets of several files, which may have been captured at the same time.
    """
    packets: dict[int, Evidence] = {}
    others: dict[Evidence, None] = {}
    for piece in pieces:
        if piece.packet is None:
            others[piece] = None
        else:
            packets.setdefault(piece.file << FILE_SHIFT | piece.packet, piece)
    order = sorted(packets)
    if case and len(set(map(file_of, order))) > 1:
        order = _by_time(order, case)
    first = [packets[number] for number in order][: MAX_EVIDENCE - min(len(others), KEPT_FOR_OTHERS)]
    return (*first, *others)[:MAX_EVIDENCE]


def _by_time(numbers: list[int], case: Case) -> list[int]:
    """Packets of several files in the order of time: that of the last before each, in its file, whose time is known.

    numbers: with their files, as in the columns.
    """
    known = sorted(_times(case))

    def time_ns(number: int) -> int:
        place = bisect_right(known, (number, MAX_NS))
        return known[place - 1][1] if place and file_of(known[place - 1][0]) == file_of(number) else 0

    return sorted(numbers, key=lambda number: (time_ns(number), number))


def _times(case: Case) -> Iterator[tuple[int, int]]:
    """(number, time) of the packets of which the files, flows and lookups tell both."""
    for index, file in enumerate(case.files):
        yield index << FILE_SHIFT, file.first_ns
    for flow in case.flows:
        tls, tunnel, reset = flow.tls, flow.tunnel, flow.reset
        yield from ((flow.first_packet, flow.start_ns), (flow.last_packet, flow.end_ns), (flow.syn_packet, flow.syn_ns))
        if tls:
            yield from ((tls.hello_packet, tls.hello_ns), (tls.server_packet, tls.server_ns))
        if tunnel:
            yield from ((tunnel.request_packet, tunnel.request_ns), (tunnel.response_packet, tunnel.response_ns))
        if reset:
            yield reset.packet, reset.time_ns
        for item in flow.exchanges:
            yield from ((item.request_packet, item.request_ns), (item.response_packet, item.response_ns))
    for lookup in case.lookups:
        yield from ((number, lookup.start_ns) for number in (*lookup.query_packets, *lookup.answer_packets))


def of_requests(case: Case, requests: Iterable[Request]) -> list[Evidence]:
    """What the ledger says of each request; for one that failed, the packet that decided it in place of the first.

    Probes are left to the checks that judge chains.
    """
    pieces: list[Evidence] = []
    for request in requests:
        flow = flow_of(case, request)
        decided = _decisive(flow) if flow and request.failure else None
        kinds = {EvidenceKind.PROBE, EvidenceKind.PACKET} if decided else {EvidenceKind.PROBE}
        pieces += [decided] if decided else []
        pieces += [item for item in request.evidence if item.kind not in kinds]
    return pieces


def flow_of(case: Case, request: Request) -> Flow | None:
    """The connection on which a request broke, else the one it used."""
    return case.carriers[request.id]


def wanted_certificate(case: Case, request: Request) -> bool:
    """Whether the server refused the handshake of a request for want of a client certificate."""
    flow = flow_of(case, request)
    asked = flow is not None and flow.tls is not None and flow.tls.certificate_request is not Visibility.NOT_OBSERVABLE
    return asked or (request.failure is not None and "tls: certificate required" in request.failure.text)


def lookups_of(case: Case, name: str) -> list[Lookup]:
    """What DNS was asked for a name, and answered."""
    return case.lookups_by_name.get(name, [])


def failed_lookups(case: Case, name: str) -> list[Lookup]:
    """Lookups of a name that has no address at all; to have none of one kind is normal."""
    found = lookups_of(case, name)
    return [] if any(item.addresses for item in found) else found


def of_lookup(lookup: Lookup) -> Evidence:
    """The answer to a lookup, else its query."""
    asked = f"{lookup.name} {lookup.type}"
    if lookup.answer_packets:
        text = f"{lookup.rcode} for {asked} from {lookup.resolver}"
        return evidence.packet(lookup.answer_packets[0], text, lookup.file)
    text = f"query for {asked} to {lookup.resolver}, never answered"
    return evidence.packet(lookup.query_packets[0], text, lookup.file)


def of_chain(judgement: Judgement) -> Evidence:
    """The certificate that a judgement is about, where it was seen."""
    leaf = judgement.chain[0] if judgement.chain else None
    text = f"certificate for {judgement.name}" + (f", issuer {leaf.issuer or 'without a name'}" if leaf else "")
    if judgement.visibility is Visibility.PROBED:
        return evidence.probe(text)
    return evidence.packet(judgement.packet, text, judgement.file)


def _decisive(flow: Flow) -> Evidence | None:
    tell = _TELL.get(flow.outcome)
    number, text = tell(flow) if tell else (0, "")
    return evidence.packet(number, text, flow.file) if number else None


def _reset(flow: Flow) -> tuple[int, str]:
    if flow.tunnel and flow.tunnel.reason and not flow.tunnel.opened and flow.tunnel.status is None:
        return _unanswered(flow.tunnel, "")
    return (flow.reset.packet, f"RST from {flow.server.ip}") if flow.reset else (0, "")


def _no_answer(flow: Flow) -> tuple[int, str]:
    times = f", sent {flow.syn_count} times" if flow.syn_count > 1 else ""
    return flow.syn_packet, f"SYN to {flow.server.ip}:{flow.server.port}{times}, never answered"


def _stalled(flow: Flow) -> tuple[int, str]:
    if flow.hole:
        text = f"the client still asks for what is missing before the last {flow.unacknowledged_down:,} bytes that came"
    else:
        text = f"the last packet; {flow.unacknowledged_up:,} bytes of the client were never acknowledged"
    return flow.last_packet, text


def _tunnel(flow: Flow) -> tuple[int, str]:
    tunnel = flow.tunnel
    return (tunnel.response_packet, tunnel.answer) if tunnel else (0, "")


def _alert(flow: Flow) -> tuple[int, str]:
    tls = flow.tls
    if not tls:
        return 0, ""
    if tls.refusal_visibility is Visibility.INFERRED:
        by = "server" if tls.state is TlsState.REFUSED_BY_SERVER else "client"
        return tls.end_packet, f"an encrypted record of an alert's size, then the end: the {by} refused"
    alert = next((item for item in tls.alerts if item.packet == tls.end_packet), None)
    by = "client" if alert and alert.from_client else "server"
    return tls.end_packet, f"alert {alert_name(alert.description)} from the {by}" if alert else "the handshake ends"


def _not_tls(flow: Flow) -> tuple[int, str]:
    return (flow.tls.end_packet, flow.tls.problem or "the answer is not TLS") if flow.tls else (0, "")


def _silence(flow: Flow) -> tuple[int, str]:
    if flow.tls:
        again = f", sent again {flow.retransmissions_up} times" if flow.retransmissions_up > 1 else ""
        return flow.tls.hello_packet, f"ClientHello for {flow.name or flow.server.ip}{again}, never answered"
    if flow.tunnel:
        return _unanswered(flow.tunnel, "never answered")
    waiting = next((item for item in flow.exchanges if item.status is None), None)
    return (waiting.request_packet, f"{waiting.method} request, never answered") if waiting else (0, "")


def _unanswered(tunnel: Tunnel, how: str) -> tuple[int, str]:
    if tunnel.reason:
        return tunnel.response_packet, f"the answer to {tunnel.request} is {tunnel.reason}"
    return tunnel.request_packet, f"{tunnel.request}, {how}"


def _closed(flow: Flow) -> tuple[int, str]:
    tls, name = flow.tls, flow.name or flow.server.ip
    if flow.tunnel and not tls:
        return _unanswered(flow.tunnel, "then the connection is closed")
    if not tls:
        return 0, ""
    last = "ClientHello for" if tls.end_packet == tls.hello_packet else "the last of the handshake with"
    return tls.end_packet, f"{last} {name}, then the connection is closed"


_TELL: dict[Outcome, Callable[[Flow], tuple[int, str]]] = {
    Outcome.NO_ANSWER: _no_answer,
    Outcome.REFUSED: _reset,
    Outcome.UNREACHABLE: lambda flow: (flow.icmp_packet, f"ICMP {flow.icmp}"),
    Outcome.RESET: _reset,
    Outcome.STALLED: _stalled,
    Outcome.TUNNEL_REFUSED: _tunnel,
    Outcome.REJECTED_CERTIFICATE: _alert,
    Outcome.REFUSED_HANDSHAKE: _alert,
    Outcome.NOT_TLS: _not_tls,
    Outcome.SILENT: _silence,
    Outcome.CLOSED_IN_HANDSHAKE: _closed,
}
"""how a connection ended → the packet that shows it (0: none) and what it shows"""

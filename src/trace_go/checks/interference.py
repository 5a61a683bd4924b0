"""What packets of one connection show of somebody on the way: forged resets and data, a path that swallows packets."""

from trace_go.model.flow import Flow, Outcome, Reset, Twice

TELLING_NS = 4_000_000
"""a round trip from which on arrival times tell where a packet comes from: schedulers take a millisecond at times"""


def forged_reset(flow: Flow | None) -> Reset | None:
    """A reset that the server did not send: it came from another distance, and the server went on afterwards.

    Each alone may be harmless: a load balancer in front answers for its server, and packets overtake one another.
    """
    reset = flow.reset if flow else None
    told = reset is not None and not reset.from_client and reset.then_packet and reset.then_ttl != reset.ttl
    return reset if told else None


def forged_data(flow: Flow | None) -> Twice | None:
    """Data in the server's name, in place of which the server sent other data."""
    twice = flow.twice if flow else None
    return twice if twice and not twice.from_client else None


def too_soon(flow: Flow, at_ns: int) -> str:
    """Behind what is told of an answer to the client's first data: that it came before the server's could; else empty.

    The way to the server and back takes what the SYN-ACK took, or at least half of it.
    """
    trip_ns, took_ns = flow.syn_ack_ns - flow.syn_ns, at_ns - flow.first_up_ns
    told = flow.syn_ns and flow.first_up_ns and trip_ns >= TELLING_NS and 0 < took_ns < trip_ns // 2
    return f", {took_ns / 1e6:.1f} ms after what it answers: the SYN-ACK took {trip_ns / 1e6:.1f} ms" if told else ""


def swallows_large(flow: Flow | None) -> bool:
    """Whether small packets got through and large ones did not, however often they were sent.

    Either the server acknowledged something other than the ClientHello that it was sent again and again, or the end of
    what the server sent came and its beginning never did.
    """
    if flow is None or flow.outcome not in (Outcome.SILENT, Outcome.STALLED, Outcome.CLOSED_IN_HANDSHAKE):
        return False
    return flow.hole or (
        flow.bytes_down == 0
        and flow.retransmissions_up > 1
        and flow.unacknowledged_up > 0
        and flow.acknowledged_down_ns > flow.first_up_ns > 0
    )

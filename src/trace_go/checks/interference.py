"""What packets of one connection show of somebody on the way: forged resets, and a path that swallows large packets."""

from trace_go.model.flow import Flow, Outcome, Reset


def forged_reset(flow: Flow | None) -> Reset | None:
    """A reset that the server did not send: it came from another distance, and the server went on afterwards.

    Each alone may be harmless: a load balancer in front answers for its server, and packets overtake one another.
    """
    reset = flow.reset if flow else None
    told = reset is not None and not reset.from_client and reset.then_packet and reset.then_ttl != reset.ttl
    return reset if told else None


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

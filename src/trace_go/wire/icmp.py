"""ICMP errors (RFC 792, RFC 4443) and the packet that they quote."""

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor

TOO_BIG = "packet too big"
"""a message of path MTU discovery: no failure"""
V4_KINDS, V6_KINDS = (3, 11, 12), (1, 2, 3, 4)
"""types of the messages that quote a packet, less redirects and the obsolete source quench"""
_V4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): TOO_BIG,
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "communication administratively prohibited",
    (11, 0): "time to live exceeded",
}
_V6 = {
    (1, 0): "no route to destination",
    (1, 1): "communication administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address failed policy",
    (1, 6): "route rejected",
    (3, 0): "hop limit exceeded",
}


class IcmpError(Struct, frozen=True, kw_only=True):
    text: str
    protocol: int
    src: bytes
    """of the quoted packet: 4 or 16 bytes"""
    dst: bytes
    sport: int
    dport: int


def maybe_error(data: bytes, *, ipv6: bool) -> IcmpError | None:
    """The error in an ICMP message that quotes a packet with ports; None for any other ICMP message.

    Raises WireError when the quotation is cut before the ports, or is no packet.
    """
    head = Cursor(data)
    kind, code = head.pull_uint8(), head.pull_uint8()
    errors, kinds = (_V6, V6_KINDS) if ipv6 else (_V4, V4_KINDS)
    if kind not in kinds:
        return None
    text = TOO_BIG if ipv6 and kind == 2 else errors.get((kind, code), f"ICMP type {kind} code {code}")
    head.pull_bytes(6)
    protocol, src, dst = _pull_ipv6(head) if ipv6 else _pull_ipv4(head)
    if protocol not in (6, 17):
        return None
    return IcmpError(text=text, protocol=protocol, src=src, dst=dst, sport=head.pull_uint16(), dport=head.pull_uint16())


def _pull_ipv4(head: Cursor) -> tuple[int | None, bytes, bytes]:
    """Protocol, None for a later fragment, source and destination of a quoted header (RFC 791 §3.1)."""
    start = head.pos
    size = (head.pull_uint8() ^ 0x40) * 4
    if not 20 <= size <= 60:
        raise WireError(start, "no IPv4 header quoted")
    head.pull_bytes(5)
    later = head.pull_uint16() & 0x1FFF
    head.pull_bytes(1)
    protocol = head.pull_uint8()
    head.pull_bytes(2)
    src, dst = head.pull_bytes(4), head.pull_bytes(4)
    head.pull_bytes(size - 20)
    return None if later else protocol, src, dst


def _pull_ipv6(head: Cursor) -> tuple[int, bytes, bytes]:
    """Next header, source and destination of a quoted header (RFC 8200 §3)."""
    start = head.pos
    if head.pull_uint8() >> 4 != 6:
        raise WireError(start, "no IPv6 header quoted")
    head.pull_bytes(5)
    protocol = head.pull_uint8()
    head.pull_bytes(1)
    return protocol, head.pull_bytes(16), head.pull_bytes(16)

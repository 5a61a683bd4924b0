"""ICMP errors (RFC 792, RFC 4443) and the packet that they quote."""

from dataclasses import dataclass

from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor

_V4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "packet too big",
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
    (2, 0): "packet too big",
    (3, 0): "hop limit exceeded",
}
TOO_BIG = "packet too big"


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpError:
    text: str
    protocol: int
    src: bytes
    """of the quoted packet: 4 or 16 bytes"""
    dst: bytes
    sport: int
    dport: int


def maybe_error(data: bytes, *, ipv6: bool) -> IcmpError | None:
    """The error in an ICMP message that quotes a packet with ports; None for any other ICMP message.

    Raises WireError when the quotation is cut before the ports.
    """
    head = Cursor(data)
    kind = (head.pull_uint8(), head.pull_uint8())
    errors = _V6 if ipv6 else _V4
    if kind not in errors and kind[0] not in ({1, 2, 3, 4} if ipv6 else {3, 11, 12}):
        return None
    head.pull_bytes(6)
    text = errors.get(kind, f"ICMP type {kind[0]} code {kind[1]}")
    version = head.pull_uint8()
    if ipv6:
        head.pull_bytes(5)
        protocol = head.pull_uint8()
        head.pull_bytes(1)
        src, dst = head.pull_bytes(16), head.pull_bytes(16)
    else:
        header = (version & 15) * 4
        if header < 20:
            raise WireError(8, "quoted header length below 20")
        head.pull_bytes(8)
        protocol = head.pull_uint8()
        head.pull_bytes(2)
        src, dst = head.pull_bytes(4), head.pull_bytes(4)
        head.pull_bytes(header - 20)
    if protocol not in (6, 17):
        return None
    return IcmpError(text=text, protocol=protocol, src=src, dst=dst, sport=head.pull_uint16(), dport=head.pull_uint16())

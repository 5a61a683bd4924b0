"""DNS messages by hand, and their packets."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address

from flows.frames import START_NS, UDP, Frame, ip, link, udp

CLIENT, RESOLVER = "10.0.0.2", "10.0.0.53"
A, CNAME, AAAA, HTTPS = 1, 5, 28, 65


def encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(number: int, name: str, kind: int = A) -> bytes:
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + encoded(name) + struct.pack("!HH", kind, 1)


def reply(
    number: int,
    name: str,
    addresses: Sequence[str] = (),
    *,
    kind: int = A,
    alias: str = "",
    rcode: int = 0,
    truncated: bool = False,
    question: bool = True,
) -> bytes:
    records = (
        [encoded(name) + struct.pack("!HHIH", CNAME, 1, 60, len(encoded(alias))) + encoded(alias)] if alias else []
    )
    for address in addresses:
        packed = ip_address(address).packed
        records.append(
            encoded(name) + struct.pack("!HHIH", A if len(packed) == 4 else AAAA, 1, 60, len(packed)) + packed
        )
    flags = 0x8180 | rcode | (0x0200 if truncated else 0)
    head = struct.pack("!HHHHHH", number, flags, int(question), len(records), 0, 0)
    return head + (encoded(name) + struct.pack("!HH", kind, 1) if question else b"") + b"".join(records)


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def asked(at_ms: float, port: int, message: bytes, *, client: str = CLIENT, resolver: str = RESOLVER) -> Frame:
    """A datagram to the resolver."""
    return Frame(link(ip(client, resolver, UDP, udp(port, 53, message))), START_NS + int(at_ms * 1e6))


def told(at_ms: float, port: int, message: bytes, *, client: str = CLIENT, resolver: str = RESOLVER) -> Frame:
    """A datagram of the resolver."""
    return Frame(link(ip(resolver, client, UDP, udp(53, port, message))), START_NS + int(at_ms * 1e6))

"""What became of a connection behind the gateway, told by a second capture that was made there."""

from enum import StrEnum

from msgspec import Struct


class Relation(StrEnum):
    RELAYED = "relayed"
    """the same ClientHello arrives there: nobody between broke TLS open"""
    TERMINATED = "terminated"
    """it was answered, yet another ClientHello for its name arrives there: somebody between ends TLS"""
    ABSENT = "not seen beyond"
    """the second capture does not show what became of it"""


class Crossing(Struct, frozen=True, kw_only=True, gc=False):
    """One TLS connection at both vantages. Packet numbers are of the two files; 0 = none."""

    flow: int
    """id of the client's flow"""
    name: str
    relation: Relation
    file: int
    packet: int
    """the client's ClientHello"""
    beyond_file: int = 0
    beyond_packet: int = 0
    """the ClientHello that arrives, its own or another"""
    server: str = ""
    """whom that is sent to, `ip:port`"""
    clock_s: float | None = None
    """what the second clock shows beyond the first, way included; None where nothing was relayed"""

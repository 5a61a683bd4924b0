"""How a certificate chain stands against a trust store at a point in time."""

from enum import StrEnum

from msgspec import Struct

from trace_go.model.evidence import Visibility
from trace_go.model.tls import Certificate


class ChainFault(StrEnum):
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    NAME_MISMATCH = "name-mismatch"
    COMMON_NAME_ONLY = "common-name-only"
    SELF_SIGNED = "self-signed"
    UNKNOWN_AUTHORITY = "unknown-authority"
    INCOMPLETE = "incomplete"
    """an intermediate certificate is missing"""
    UNREADABLE = "unreadable"
    OTHER = "other"


class Judgement(Struct, frozen=True, kw_only=True, gc=False):
    """The verdict on one chain for one name at one time."""

    name: str
    flow: int | None
    """flow id whose handshake showed the chain; None for a probe"""
    packet: int
    file: int
    chain: tuple[Certificate, ...]
    visibility: Visibility
    """SEEN on the wire or PROBED"""
    trusted: bool
    fault: ChainFault | None
    detail: str
    """which certificate and why, in plain words"""
    trust: str
    """name of the trust store used"""
    at_ns: int
    interceptor: str | None = None
    """product or CA name when the chain is an interceptor's; see trust.interceptors"""
    interceptor_why: tuple[str, ...] = ()
    public_trusted: bool | None = None
    """against Mozilla's roots, when that differs in meaning"""

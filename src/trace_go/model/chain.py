"""How a certificate chain stands against a trust store at a point in time."""

from enum import StrEnum

from msgspec import Struct

from trace_go.model.evidence import Confidence, Evidence, Visibility
from trace_go.model.tls import Certificate


class ChainFault(StrEnum):
    """What is wrong with a chain, each with words of its own; go has one message for several."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    NAME_MISMATCH = "name-mismatch"
    COMMON_NAME_ONLY = "common-name-only"
    SELF_SIGNED = "self-signed"
    """the server's certificate itself"""
    UNKNOWN_AUTHORITY = "unknown-authority"
    """complete, or ending at an issuer that may be an unknown root"""
    INCOMPLETE = "incomplete"
    """an intermediate certificate is missing"""
    NO_ROOTS = "no-roots"
    """the trust store is empty"""
    NOT_A_CA = "not-a-ca"
    """an issuer that is no CA, or may not sign certificates"""
    PATH_LENGTH = "path-length"
    NAME_CONSTRAINT = "name-constraint"
    USAGE = "usage"
    """a certificate not meant for servers (extended key usage)"""
    CRITICAL_EXTENSION = "critical-extension"
    WEAK_KEY = "weak-key"
    WEAK_SIGNATURE = "weak-signature"
    BAD_SIGNATURE = "bad-signature"
    """not signed by the issuer that it names"""
    KEY_KIND = "key-kind"
    """a kind or size of key that go does not use"""
    DISTRUSTED = "distrusted"
    """a key that go refuses by name"""
    UNREADABLE = "unreadable"
    OTHER = "other"


class ChainPart(StrEnum):
    SERVER = "server"
    """the server's own certificate"""
    INTERMEDIATE = "intermediate"
    ROOT = "root"


class Judgement(Struct, frozen=True, kw_only=True, gc=False):
    """The verdict on one chain for one name at one time."""

    name: str
    flow: int | None
    """flow id whose handshake showed the chain; None for a probe"""
    packet: int
    file: int
    chain: tuple[Certificate, ...]
    visibility: Visibility
    """SEEN on the wire, PROBED, or INFERRED from what another connection of the same way showed"""
    trusted: bool
    fault: ChainFault | None
    detail: str
    """which certificate and why, in plain words"""
    trust: str
    """name of the trust store used"""
    at_ns: int
    part: ChainPart | None = None
    """which certificate `detail` is about; None when nothing is wrong or when it is none of them"""
    public: bool = False
    """`name` is known to be a public host"""
    interceptor: str | None = None
    """product or CA name when the chain is an interceptor's; see trust.interceptors"""
    interceptor_why: tuple[str, ...] = ()
    """one phrase for each sign"""
    interceptor_marks: tuple[Evidence, ...] = ()
    """what else speaks for it on the wire, though nothing by itself; see trust.behaviour"""
    interceptor_confidence: Confidence | None = None
    public_trusted: bool | None = None
    """against Mozilla's roots, or those configured as public ones; None where it was trusted and is no public host"""
    disorder: tuple[str, ...] = ()
    """what is untidy about the order and number of certificates, which go does not mind"""
    weak: tuple[str, ...] = ()
    """what is weak in it although go accepts it"""

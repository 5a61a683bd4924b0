"""TLS nouns: hellos, certificates, alerts and one TLS conversation as seen from the outside."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from trace_go.model.evidence import Visibility


class ClientHello(Struct, frozen=True, kw_only=True, gc=False):
    """A ClientHello less what differs in every connection (random, session id, key shares), so equal ones are one."""

    legacy_version: int
    cipher_suites: tuple[int, ...]
    compression_methods: tuple[int, ...]
    extension_types: tuple[int, ...]
    """in wire order, GREASE included"""
    sni: str | None
    """host_name of server_name (RFC 6066 §3): ASCII, other bytes as backslash escapes; None when absent"""
    alpn: tuple[str, ...]
    versions: tuple[int, ...]
    """supported_versions, or (legacy_version,) when that extension is absent; GREASE included"""
    groups: tuple[int, ...]
    key_shares: tuple[int, ...]
    """groups for which a key share is offered"""
    signature_algorithms: tuple[int, ...]
    unknown_extensions: tuple[tuple[int, bytes], ...]
    """extensions this reader does not decode, less those that differ in every connection (tickets, ECH)"""
    session_id_length: int
    ja3: str
    """MD5, 32 hex digits"""
    ja4: str
    oddities: tuple[str, ...]
    """what an endpoint would refuse and an observer records"""


class ServerHello(Struct, frozen=True, kw_only=True, gc=False):
    legacy_version: int
    version: int
    """selected version: supported_versions when present, else legacy_version"""
    random: bytes
    cipher_suite: int
    extension_types: tuple[int, ...]
    alpn: str | None
    """of TLS 1.3 only with keys"""
    group: int | None
    hello_retry: bool
    """a HelloRetryRequest (RFC 8446 §4.1.3)"""
    ja3s: str
    oddities: tuple[str, ...]
    compression: int = 0
    """0 is none"""


class Alert(Struct, frozen=True, kw_only=True, gc=False):
    level: int
    description: int
    """-1 when encrypted"""
    from_client: bool
    packet: int
    time_ns: int


class Certificate(Struct, frozen=True, kw_only=True, gc=False):
    """What we tell of a certificate. Fields are None or empty when `der` does not parse; `problem` then says why."""

    der: bytes
    sha256: str
    """hex"""
    subject: str
    """RFC 4514 string"""
    issuer: str
    subject_cn: str | None
    issuer_cn: str | None
    issuer_o: str | None
    names: tuple[str, ...]
    """DNS names and IP addresses of subjectAltName"""
    not_before: datetime | None
    not_after: datetime | None
    serial: str
    """hex"""
    key: str
    """`ECDSA P-256`, `RSA 2048`, `Ed25519`, …"""
    signature: str
    """signature hash and kind, e.g. `ecdsa-with-SHA256`"""
    spki_sha256: str
    is_ca: bool
    self_issued: bool
    """subject equals issuer"""
    signed_by_own_key: bool
    """the signature verifies under the certificate's own public key although the issuer is another name"""
    has_sct: bool
    problem: str | None = None


class TlsState(StrEnum):
    """How far the handshake was seen to go."""

    CLIENT_HELLO = "client-hello"
    SERVER_HELLO = "server-hello"
    ESTABLISHED = "established"
    REFUSED_BY_CLIENT = "refused-by-client"
    REFUSED_BY_SERVER = "refused-by-server"
    NOT_TLS_ANSWER = "not-tls-answer"
    """the server answered with something that is not TLS"""
    PARTIAL = "partial"
    """the capture misses bytes of the handshake"""


class Opening(StrEnum):
    """What key logs did for a connection."""

    NO_KEYS = "no keys"
    OPENED = "opened"
    PARTLY = "opened in part"
    """for some of it the log has no secret, or a wrong one"""
    WRONG_KEYS = "wrong keys"
    UNSUPPORTED = "cipher not read"
    NOTHING = "nothing to open"


class TlsSession(Struct, frozen=True, gc=False):
    """One TLS conversation, also one inside a CONNECT tunnel. Times are packet times in ns, 0 = not seen.

    Made by position, as Flow.
    """

    hello: ClientHello | None
    client_random: bytes
    hello_packet: int
    hello_ns: int
    server: ServerHello | None
    server_packet: int
    server_ns: int
    hello_retry: bool
    chain: tuple[Certificate, ...]
    """as sent, leaf first"""
    chain_packet: int
    chain_visibility: Visibility
    established_ns: int
    """when the client's Finished was sent"""
    alerts: tuple[Alert, ...]
    state: TlsState
    refusal_visibility: Visibility
    """SEEN for a plain alert, INFERRED for the encrypted refusal of TLS 1.3"""
    end_packet: int
    """the packet that shows `state`"""
    client_app_bytes: int
    """bytes of application data records after the client's Finished, as far as the head was read"""
    server_flight_bytes: int
    """bytes of encrypted records of the server before the client's Finished (TLS 1.3)"""
    client: str
    """which client the fingerprint is: `go 1.26`, `git/libcurl …` or empty"""
    certificate_request: Visibility = Visibility.NOT_OBSERVABLE
    """whether the server asked for a client certificate: SEEN up to TLS 1.2; INFERRED from the client's empty answer"""
    client_records: tuple[int, ...] = ()
    """of TLS 1.3 that stays closed: lengths of the client's encrypted records behind its Finished, the first ones"""
    answered_bytes: int = 0
    """of the same: bytes of the server's stream behind its part of the handshake, session tickets among them"""
    problem: str | None = None
    """why reading stopped early"""
    opening: Opening = Opening.NO_KEYS

    @property
    def version(self) -> int | None:
        return self.server.version if self.server and not self.server.hello_retry else None

"""A flow: one transport conversation with everything seen on it."""

from enum import StrEnum

from msgspec import Struct

from trace_go.model.dns import Lookup
from trace_go.model.http import Exchange
from trace_go.model.tls import TlsSession


class Outcome(StrEnum):
    OK = "ok"
    NO_ANSWER = "timeout"
    """SYN (or UDP request) never answered"""
    REFUSED = "refused"
    """RST in answer to the SYN"""
    UNREACHABLE = "unreachable"
    """an ICMP error answered"""
    RESET = "reset"
    """RST by the server or an on-path device before the conversation ended well"""
    CLOSED_IN_HANDSHAKE = "closed-in-handshake"
    REJECTED_CERTIFICATE = "rejected-certificate"
    REFUSED_HANDSHAKE = "refused-handshake"
    """a TLS alert ended the handshake for another reason than the certificate"""
    NOT_TLS = "not-tls"
    SILENT = "silent-after-hello"
    """the peer acknowledged nothing or said nothing after the ClientHello or request"""
    TUNNEL_REFUSED = "tunnel-refused"
    STALLED = "stalled"
    """after a good start, data was sent again and again and never acknowledged"""
    IDLE = "idle"
    """opened and closed without a request; normal for go's extra connections"""
    OPEN = "open"
    """still open when the capture ended"""
    PARTIAL = "partial"
    """the start is not in the capture"""


class Endpoint(Struct, frozen=True, kw_only=True, gc=False):
    ip: str
    port: int


class Reset(Struct, frozen=True, kw_only=True, gc=False):
    packet: int
    time_ns: int
    from_client: bool
    ttl: int
    """hop limit of the RST"""
    then_packet: int = 0
    """the first packet of the same end behind its reset that is none itself; 0 = none, as it must be"""
    then_ttl: int = 0


class Twice(Struct, frozen=True, kw_only=True, gc=False):
    """Data that one end is said to have sent twice, in the same place of its stream and with other bytes."""

    from_client: bool
    packet: int
    time_ns: int
    ttl: int
    """hop limit"""
    then_packet: int
    then_ttl: int
    then_ns: int


class Wait(Struct, frozen=True, kw_only=True, gc=False):
    """The longest pause between payload of the client and the next payload, the server's; at least a second."""

    request_packet: int
    request_bytes: int
    """of that packet, as captured"""
    answer_packet: int
    answer_bytes: int
    answer_ns: int
    waited_ns: int


_SOCKS_GRANTED = {"socks4": 90, "socks5": 0}


class Tunnel(Struct, frozen=True, kw_only=True, gc=False):
    """A way through a forward proxy: HTTP CONNECT (RFC 9110 §9.3.6) or SOCKS (RFC 1928)."""

    protocol: str = "http"
    """`http`, `socks4` or `socks5`"""
    authority: str
    """`host:port`; empty where a SOCKS proxy refused the client before it could ask"""
    status: int | None
    """of HTTP, or the number of the SOCKS answer; None = no answer"""
    reason: str
    """of the answer; what the answer is `not` when it is in another protocol"""
    request_packet: int
    request_ns: int
    response_packet: int
    response_ns: int
    user_agent: str | None
    has_credentials: bool

    @property
    def opened(self) -> bool:
        if self.protocol == "http":
            return self.status is not None and self.status // 100 == 2
        return self.status == _SOCKS_GRANTED.get(self.protocol)

    @property
    def host(self) -> str | None:
        return self.authority.rpartition(":")[0].strip("[]").lower() or None

    @property
    def request(self) -> str:
        """`CONNECT proxy.golang.org:443`; of SOCKS without the authority where the client did not come so far."""
        word = "CONNECT" if self.protocol == "http" else self.protocol.upper()
        return f"{word} {self.authority}".rstrip()

    @property
    def answer(self) -> str:
        """`403 Forbidden`, `connection refused (SOCKS answer 5)`; empty without an answer."""
        if self.status is None:
            return ""
        if self.protocol == "http":
            return f"{self.status} {self.reason}".rstrip()
        return f"{self.reason} (SOCKS answer {self.status})"


class Flow(Struct, frozen=True, gc=False):
    """Times are packet times in ns since 1970, 0 = not seen; packet numbers from 1, 0 = not seen.

    Made by position: to look up so many names takes longer than all else. What is counted stands behind the rest.
    """

    id: int
    transport: str
    """`tcp` or `udp`"""
    client: Endpoint
    server: Endpoint
    reset: Reset | None
    icmp: str | None
    """text of the ICMP error that quotes this flow"""
    icmp_packet: int
    outcome: Outcome
    protocol: str
    """`tls`, `http`, `dns`, `ssh`, `quic`, `dot` and `doh` (DNS over TLS, over HTTPS) or empty"""
    tls: TlsSession | None
    tunnel: Tunnel | None
    exchanges: tuple[Exchange, ...]
    process: str | None
    """`go (1234)` when the command's process table showed it"""
    twice: Twice | None
    wait: Wait | None
    file: int
    first_packet: int
    last_packet: int
    start_ns: int
    end_ns: int
    packets_up: int
    packets_down: int
    bytes_up: int
    """payload bytes, retransmissions counted each time"""
    bytes_down: int
    retransmissions_up: int
    retransmissions_down: int
    unacknowledged_up: int
    """bytes of the client that the server had not acknowledged at the end"""
    unacknowledged_down: int
    """of the server, by the client"""
    hole: bool
    """the client answered the server's last bytes and still asked for some before them, which never came"""
    acknowledged_down_ns: int
    """the server's last segment with an acknowledgment"""
    syn_packet: int
    syn_count: int
    syn_ns: int
    syn_ack_packet: int
    syn_ack_ns: int
    syn_ack_ttl: int
    first_up_ns: int
    """first payload byte of the client"""
    first_down_ns: int
    last_down_ns: int
    last_up_ns: int
    fin_from_client: bool
    fin_from_server: bool
    server_closed_first: bool

    @property
    def name(self) -> str | None:
        """The host name the client meant, from the strongest sign on the wire."""
        if self.tls and self.tls.hello and self.tls.hello.sni:
            return self.tls.hello.sni.rstrip(".").lower()
        if self.tunnel and self.tunnel.host:
            return self.tunnel.host
        return self.exchanges[0].host.rsplit(":", 1)[0].strip("[]").lower() if self.exchanges else None

    @property
    def connect_s(self) -> float | None:
        return (self.syn_ack_ns - self.syn_ns) / 1e9 if self.syn_ns and self.syn_ack_ns else None

    @property
    def tls_s(self) -> float | None:
        tls = self.tls
        return (tls.established_ns - tls.hello_ns) / 1e9 if tls and tls.hello_ns and tls.established_ns else None


class Traffic(Struct, frozen=True, kw_only=True, gc=False):
    """Everything that the packets of one or more captures showed."""

    flows: tuple[Flow, ...]
    """indexed by Flow.id"""
    lookups: tuple[Lookup, ...]
    left_out: int = 0
    """flows that were forgotten to bound memory: finished or idle ones, the oldest first"""
    lookups_left_out: int = 0
    """DNS questions and answers beyond those that are kept"""

"""The ledger: one row per module request, with the hops that it took."""

from enum import StrEnum

from msgspec import Struct

from trace_go.model.evidence import Confidence, Evidence, Visibility


class Role(StrEnum):
    RESOLVER = "resolver"
    FORWARD_PROXY = "forward-proxy"
    INTERCEPTOR = "interceptor"
    MIRROR = "mirror"
    CHECKSUM_DB = "checksum-db"
    CDN = "cdn"
    ORIGIN = "origin"


class HandledBy(StrEnum):
    DIRECT = "direct"
    MIRROR = "mirror"
    MITM = "mitm"
    CHECKSUM_DB = "checksum-db"
    NONE = "none"
    """nobody answered"""
    UNKNOWN = "unknown"
    """the input does not show it"""


class Artifact(StrEnum):
    LIST = "list"
    LATEST = "latest"
    INFO = "info"
    MOD = "mod"
    ZIP = "zip"
    GO_GET = "go-get"
    GIT = "git"
    SUMDB_SUPPORTED = "sumdb-supported"
    SUMDB_LOOKUP = "sumdb-lookup"
    SUMDB_TILE = "sumdb-tile"
    SUMDB_LATEST = "sumdb-latest"
    TOOLCHAIN = "toolchain"
    CONNECTION = "connection"
    """a connection whose requests the input does not show"""
    OTHER = "other"


class Stage(StrEnum):
    """Where a request broke, in the order a request goes."""

    DNS = "dns"
    CONNECT = "connect"
    PROXY = "proxy"
    TLS = "tls"
    RESPONSE = "response"
    STATUS = "status"
    CONTENT = "content"


class Hop(Struct, frozen=True, kw_only=True, gc=False):
    role: Role
    host: str | None
    ip: str | None
    flow: int | None
    """flow id"""
    label: str = ""
    """known name of the party, e.g. `Go module mirror`"""
    own: bool = False
    """the user's trace-go.toml names the party"""
    public: bool = False
    """known to be a host of the public internet"""
    visibility: Visibility = Visibility.SEEN
    redirected: bool = False
    """a redirect led here: the request was addressed to an earlier hop"""
    broken: bool = False
    """the request broke here"""


class Failure(Struct, frozen=True, kw_only=True, gc=False):
    stage: Stage
    kind: str
    """kebab-case: `nxdomain`, `no-syn-ack`, `refused`, `unknown-authority`, `status-403`, …"""
    text: str


class RequestTimings(Struct, frozen=True, kw_only=True, gc=False):
    """Seconds; None where not observable. Connection stages belong to the flow the request used."""

    dns_s: float | None = None
    connect_s: float | None = None
    tunnel_s: float | None = None
    tls_s: float | None = None
    response_s: float | None = None
    """from sending the request to the response headers; of a row without URL, None"""


class Inference(Struct, frozen=True, kw_only=True, gc=False):
    """What the sizes of encrypted records tell of a connection whose inside the input does not show."""

    kind: str
    """`requests`, `answer-bytes`, `certificate-refused`, `client-certificate-refused`, `closed-unused`"""
    text: str
    least: int | None = None
    most: int | None = None
    confidence: Confidence


class Request(Struct, frozen=True, kw_only=True, gc=False):
    id: int
    url: str | None
    module: str | None
    version: str | None
    artifact: Artifact
    attempt: int
    """1 for the first GOPROXY entry asked for this artifact, 2 for the next, …"""
    repeats: int
    """further sendings of the same request on the wire that go does not log"""
    proxy_entry: str | None
    """the GOPROXY entry this belongs to"""
    next_entry: str | None
    """why the next entry of GOPROXY was or was not tried; None when there is nothing to say"""
    status: int | None
    status_text: str
    redirects: tuple[str, ...]
    """URLs of `Location` answers on the way"""
    handled_by: HandledBy
    claims_to_be: str | None
    hops: tuple[Hop, ...]
    timings: RequestTimings
    bytes_up: int | None
    bytes_down: int | None
    failure: Failure | None
    visibility: Visibility
    """of the request itself (its URL)"""
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    start_ns: int = 0
    h1: str | None = None
    """go's hash of the content, where the packets show all of it"""
    inferred: tuple[Inference, ...] = ()

    @property
    def failed(self) -> bool:
        return self.failure is not None

    @property
    def target(self) -> Hop | None:
        """The hop that the request was addressed to: the last that no redirect led to."""
        for hop in reversed(self.hops):
            if not hop.redirected:
                return hop
        return None

    @property
    def asked(self) -> Hop | None:
        """The hop that was asked last: where the request broke or was on its way to; after a redirect not `target`."""
        broken = False
        for hop in self.hops:
            broken = broken or hop.broken
            if broken and hop.role not in (Role.RESOLVER, Role.FORWARD_PROXY, Role.INTERCEPTOR):
                return hop
        return self.hops[-1] if self.hops else None

    @property
    def carrier(self) -> int | None:
        """The id of the flow on which the request broke, else of the one it used."""
        found = None
        for hop in self.hops:
            if hop.flow is not None:
                found = hop.flow
                if hop.broken:
                    break
        return found

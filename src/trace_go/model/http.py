"""HTTP nouns shared by clear HTTP/1, decrypted traffic and go's own log."""

from msgspec import Struct

HTTP2 = "HTTP/2.0"
"""as the version of what was said"""


class HttpRequestHead(Struct, frozen=True, kw_only=True, gc=False):
    method: str
    target: str
    """as sent: origin form, absolute form or authority form"""
    version: str
    headers: tuple[tuple[str, str], ...]
    """names in lower case; values latin-1 decoded, as sent"""
    head_bytes: int

    def header(self, name: str) -> str | None:
        for key, value in self.headers:
            if key == name:
                return value
        return None


class HttpResponseHead(Struct, frozen=True, kw_only=True, gc=False):
    status: int
    reason: str
    version: str
    headers: tuple[tuple[str, str], ...]
    head_bytes: int

    def header(self, name: str) -> str | None:
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Exchange(Struct, frozen=True, kw_only=True, gc=False):
    """One request with its answer, seen in clear or decrypted. Secrets in URLs and headers are already masked."""

    method: str
    url: str
    host: str
    status: int | None
    """None: no answer seen"""
    reason: str
    location: str | None
    user_agent: str | None
    server: str | None
    content_type: str | None
    via: str | None
    referer: str | None
    proxied: bool
    """absolute-form request: the peer is a forward proxy"""
    has_credentials: bool
    """userinfo, Authorization or Proxy-Authorization was sent in clear"""
    request_packet: int
    request_ns: int
    response_packet: int
    """0 when no answer was seen"""
    response_ns: int
    body_bytes: int
    """body bytes of the response announced or counted; -1 unknown"""
    web_page: bool | None = None
    """the content of the response is HTML; None where its first bytes were not seen"""
    end_ns: int = 0
    """when the last byte of the body came; 0 when that was not looked for, or not seen"""
    version: str = "HTTP/1.1"
    stream: int = 0
    """of HTTP/2"""
    decrypted: bool = False
    aborted: str | None = None
    """why HTTP/2 ended it before its end"""
    h1: str | None = None
    """go's hash of a whole `.mod` or `.zip` body"""
    sums: tuple[tuple[str, str, str], ...] = ()
    """(module, version or `version/go.mod`, h1) that a checksum database said"""

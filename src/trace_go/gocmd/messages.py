"""The go command's error lines, and git's inside them, as kinds.

Sources: the messages of net/http, net, crypto/tls, crypto/x509 and cmd/go/internal/{web,modfetch,vcs}, of git with
libcurl (GnuTLS, OpenSSL), collected from real runs: tests/gocmd/data/errors.toml.
"""

import re
from http import HTTPStatus

from trace_go.model.go import GoError

_TABLE: tuple[tuple[str, str], ...] = (
    ("invalid-setting", r"invalid (?:file:// )?proxy URL|GOPROXY list is not the empty string|invalid GOTOOLCHAIN"),
    ("invalid-setting", r"(?:invalid|missing) GOSUMDB|invalid sumdb name|parsing \$GOFLAGS|\(from \$GOFLAGS\)"),
    ("invalid-url", r"(?:^|: )parse \"|no Host in request URL"),
    ("sumdb-off", r"checksum database disabled by GOSUMDB=off"),
    ("disabled-by-off", r"module lookup disabled by GOPROXY=off"),
    ("insecure-credentials", r"refusing to pass credentials to insecure URL|^insecure credentials$"),
    ("insecure-redirect", r"redirected from secure URL \S+ to insecure URL"),
    ("redirect-loop", r"stopped after \d+ redirects"),
    ("sumdb-mismatch", r"does NOT match the one reported by the checksum server"),
    ("sumdb-mismatch", r"database server misbehavior detected"),
    ("checksum-mismatch", r"checksum mismatch"),
    ("proxy-protocol", r"proxyconnect tcp: tls: first record does not look like|malformed HTTP response \"\\x0[05]"),
    ("proxy-protocol", r"socks connect tcp \S+: unexpected protocol version"),
    ("proxy-refused", r"socks connect tcp \S+: (?:unknown error|no acceptable|(?:invalid )?username/password)"),
    ("proxy-refused", r"omplete SOCKS\d connection to|rejected by the SOCKS\d server|No authentication method was acc"),
    ("proxy-closed", r"Proxy CONNECT aborted"),
    ("proxy-connect", r"proxyconnect tcp: |Could not resolve proxy|Failed to connect to \S+ port \d+ via proxy"),
    ("proxy-refused", r"(?:Received HTTP code|CONNECT tunnel failed, response) (?P<status>\d{3})"),
    ("not-tls", r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake"),
    ("weak-signature", r"insecure algorithm \S*(?:MD|SHA)\d"),
    ("weak-key", r"\d-bit keys are insecure"),
    ("not-a-ca", r"parent certificate cannot sign|not authorized to sign other certificates"),
    ("path-length", r"too many intermediates for path length"),
    ("name-constraint", r"not authorized to sign for this name"),
    ("usage", r"incompatible key usage"),
    ("critical-extension", r"unhandled critical extension"),
    ("unreadable", r"failed to parse certificate from server"),
    ("key-kind", r"unsupported type of public key|RSA key larger than \d+ bits"),
    ("no-roots", r"failed to load system roots"),
    ("not-tls", r"An unexpected TLS packet was received"),
    ("common-name-only", r"relies on legacy Common Name field"),
    ("not-yet-valid", r"is not yet valid: current time \S+ is before|certificate is not yet (?:valid|activated)"),
    ("expired", r"certificate has expired|certificate is expired"),
    ("wrong-name", r"x509: certificate is (?:valid for|not valid for any names)|doesn't contain any IP SANs"),
    ("wrong-name", r"certificate name does not match|certificate subject name|subjectAltName does not match"),
    ("bad-signature", r"unknown authority \(possibly because of [^\n]*verification (?:failure|error)"),
    ("unknown-authority", r"signed by unknown authority|certificate is not trusted|self[- ]signed certificate"),
    ("unknown-authority", r"server certificate verification failed|unable to get (?:local )?issuer certificate"),
    ("other-certificate", r"x509: |failed to verify certificate|SSL certificate problem"),
    ("handshake-timeout", r"TLS handshake timeout"),
    ("tls-alert", r"remote error: tls: |gnutls_handshake\(\) failed: .*[Aa]lert|tlsv1 alert|alert handshake failure"),
    ("nxdomain", r"no such host|Could not resolve host"),
    ("dns-timeout", r"lookup \S.{0,400}?(?:i/o timeout|deadline exceeded|Temporary failure)|Resolving timed out"),
    ("dns-failure", r"\blookup [^\s:]+(?: on \S+)?: "),
    ("refused", r"connection refused|actively refused it|Connection refused"),
    ("connect-timeout", r"dial tcp \S+: (?:i/o timeout|connect: (?:connection|operation) timed out)"),
    ("connect-timeout", r"connectex: .*did not properly respond|Failed to connect to .*timed out|Connection timed out"),
    ("unreachable", r"[Nn]o route to host|network is unreachable|unreachable (?:network|host)"),
    ("response-timeout", r"timeout awaiting response headers|Client\.Timeout|context deadline exceeded"),
    ("response-timeout", r"i/o timeout|operation timed out"),
    ("reset", r"[Cc]onnection reset by peer|forcibly closed by the remote host|broken pipe|Connection was reset"),
    ("unexpected-eof", r"unexpected EOF|early EOF|unexpected disconnect"),
    ("stream-error", r"stream error: |GOAWAY|http2: |connection error: |HTTP/2 stream \d+ was not closed cleanly"),
    ("bad-zip", r"not a valid zip file|\bunzip \S+: |zip: (?:format|checksum) error|zip for \S+ has unexpected file"),
    ("bad-zip", r"downloaded zip file too large"),
    ("wrong-version", r"proxy returned info for version "),
    ("web-page", r"invalid response from proxy .* invalid character '<'"),
    ("bad-info", r"invalid response from proxy"),
    ("bad-mod", r"parsing go\.mod: (?!\n)"),
    ("bad-record", r"malformed (?:record data|note|tree note)"),
    ("unknown-revision", r"unknown revision|no matching versions for query|couldn't find remote ref"),
    ("status", r"unrecognized import path \"[^\"]*\": reading \S+: (?P<status>(?!404|410)\d{3})\b"),
    ("unrecognized-import", r"unrecognized import path"),
    ("status", r"(?:reading|unexpected status) \S+: (?P<status>\d{3})\b"),
    ("status", r"requested URL returned error: (?P<status>\d{3})"),
    ("status", r"could not read Username for|Authentication failed for"),
    ("ssh-host-changed", r"REMOTE HOST IDENTIFICATION HAS CHANGED"),
    ("ssh-host-unknown", r"Host key verification failed|No \S+ host key is known for"),
    ("ssh-denied", r"Permission denied \([a-z]"),
    ("eof", r"(?:^|: )EOF$|Empty reply from server|non-properly terminated"),
    ("bad-response", r"malformed HTTP|HTTP/1\.x transport connection broken"),
)
"""first match wins: the cause before what wraps it"""

KINDS = tuple(dict.fromkeys([*(kind for kind, _ in _TABLE), "other"]))

_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _TABLE)
_REFUSED_TUNNEL = re.compile(
    r"(?:Get|Head) \"https://[^\"]*\": (?P<reason>[A-Z][A-Za-z'-]+(?: [A-Za-z'-]+)*|unknown status code)\.?$"
)
"""net/http returns the reason phrase of the proxy's answer alone; its own errors start in lower case, but for EOF"""
_STATUS_OF_REASON = {status.phrase.lower(): status.value for status in HTTPStatus}
_AUTHENTICATION = 401
"""git asks for a user name after this status only (http.c, HTTP_REAUTH)"""
_STATUS = re.compile(r"reading \S+: (\d{3})\b")

_HEAD = re.compile(r"go(?: (?:get|install|list|build|run|mod \w+)(?: [^\s:]+)?)?: ")
_OTHER_HEAD = re.compile(
    r"(?:Get|Head|read) \"|verifying \S+: |reading \S+: |\S+\.go:\d+(?::\d+)?: |[^\s@:\"]+@v[^\s:\"]+: |zip: "
    r"|insecure credentials$"
)
_NEWS = re.compile(
    r"go: (?:downloading|finding|extracting|found|added|upgraded|downgraded|removed|creating|to add|warning|copying"
    r"|switching|trying|no module dependencies|ignoring|matched no|-\w)\b|go: \S+: warning:"
)
"""what go says without anything being wrong"""

_QUOTED_URL = re.compile(r"(?:Get|Head|Post|read) \"([^\"]+)\"")
_PLAIN_URL = re.compile(r"(?:reading|fetching|insecure URL:|parse|\bgit \S[^\n]{0,400}?) (https?://\S+?)(?=:?(?:\s|$))")
_CAUSE = re.compile(r"(?:Get|Head|read) \"|reading \S+: |git \S|unzip ")
_PATH = r"[\w.~-]+(?:/[\w.~-]+)*"
_VERSIONED = re.compile(rf"(?:^|[\s(])(?P<module>{_PATH})@(?P<version>[^\s@:/\"']+)(?:/go\.mod)?(?=:|$|\s)")
_BARE = re.compile(
    rf"(?:^go: |\bmodule )(?P<module>\w[\w~-]*\.{_PATH}): |unrecognized import path \"(?P<path>[^\"]+)\""
)


def starts_error(line_text: str) -> bool:
    """Whether a line may be the first of an error of go."""
    return not _NEWS.match(line_text) and bool(_HEAD.match(line_text) or _OTHER_HEAD.match(line_text))


def parse_error(line_text: str, line: int) -> GoError | None:
    """One error of go with its continuation lines, or the error of a `# get` line; None for anything else.

    line: number of the first line in the log.
    """
    if not starts_error(line_text):
        return None
    kind, status = error_kind(line_text)
    if kind == "other" and not line_text.startswith(("go: ", "go ", 'Get "')):
        return None  # a compiler error or another program's line
    named = _VERSIONED.search(_CAUSE.split(line_text, maxsplit=1)[0])
    bare = _BARE.search(line_text)
    url = _QUOTED_URL.search(line_text) or _PLAIN_URL.search(line_text)
    return GoError(
        text=line_text,
        line=line,
        module=named["module"] if named else (bare["module"] or bare["path"]) if bare else None,
        version=named["version"] if named else None,
        url=url[1] if url else None,
        kind=kind,
        status=status,
    )


def error_kind(text: str) -> tuple[str, int | None]:
    """(one of KINDS, HTTP status where the message tells it). text: an error message, its lines joined by newlines."""
    own, _, _ = text.partition("\n\tserver response:")
    status = _STATUS.search(own)
    for kind, pattern in _PATTERNS:
        found = pattern.search(own)
        if found:
            digits = found.groupdict().get("status") or (status and status[1])
            return kind, int(digits) if digits else _AUTHENTICATION if kind == "status" else None
    refused = _REFUSED_TUNNEL.search(own)
    if refused:
        return "proxy-refused", _STATUS_OF_REASON.get(refused["reason"].lower())
    return "other", None

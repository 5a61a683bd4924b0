"""What the go environment means: GOPROXY, GOPRIVATE and friends, and the forward proxy of a URL.

Sources: cmd/go/internal/modfetch/{proxy,repo,sumdb}.go, cmd/go/internal/cfg/cfg.go, module.MatchPrefixPatterns of
golang.org/x/mod, path.Match, golang.org/x/net/http/httpproxy. These functions made the tables in tests/gocmd/data.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from trace_go.model.go import ProxyEntry
from trace_go.wire.secrets import mask_url

DEFAULT_GOPROXY = "https://proxy.golang.org,direct"
DEFAULT_GOSUMDB = "sum.golang.org"
_CHINA_SUMDB = "sum.golang.google.cn"
"""alias of sum.golang.org that go knows (modfetch/sumdb.go, dbDial)"""
_VERIFIER = re.compile(r"[^+\s]+\+[0-9a-fA-F]{8}\+[A-Za-z0-9+/]+={0,2}")
"""`name+hash+key` of golang.org/x/mod/sumdb/note"""
_AFTER = {",": "not-found", "|": "any"}
_MAX_GLOBS = 512
"""compiled patterns kept: more than any GOPRIVATE list has"""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class GoSettings(Struct, frozen=True, kw_only=True):
    """The network side of `go env`, defaults applied."""

    proxies: tuple[ProxyEntry, ...]
    noproxy: str
    sumdb: str | None
    """`host[/path]` of the checksum database; None when off or unusable"""
    sumdb_url: str | None
    """explicit second field of GOSUMDB: bypasses the proxies"""
    insecure: str
    version: tuple[int, int] | None
    """(1, 27) for go1.27.3"""
    problems: tuple[str, ...]
    """settings that go refuses, in its own words"""


def settings(go_env: Mapping[str, str]) -> GoSettings:
    """Read `go env -json` (or a part of it); an absent or empty variable has go's default."""
    proxies, problem = _proxy_list(go_env.get("GOPROXY") or DEFAULT_GOPROXY)
    sumdb, sumdb_url, sumdb_problem = _checksum_database(go_env.get("GOSUMDB") or DEFAULT_GOSUMDB)
    version = re.search(r"\bgo(\d{1,3})\.(\d{1,3})", go_env.get("GOVERSION", ""))
    return GoSettings(
        proxies=proxies,
        noproxy=go_env.get("GONOPROXY") or go_env.get("GOPRIVATE", ""),
        sumdb=sumdb,
        sumdb_url=sumdb_url,
        insecure=go_env.get("GOINSECURE", ""),
        version=(int(version[1]), int(version[2])) if version else None,
        problems=tuple(text for text in (problem, sumdb_problem) if text),
    )


def _proxy_list(value: str) -> tuple[tuple[ProxyEntry, ...], str | None]:
    """(entries, problem) as proxyList of modfetch/proxy.go."""
    found: list[tuple[str, str]] = []
    problem = None
    pieces = re.split(r"([,|])", value)
    for text, separator in zip(pieces[::2], [*pieces[1::2], ","], strict=True):
        url = text.strip()
        if not url:
            continue
        if url in ("off", "direct"):  # both end the list
            found.append((url, ","))
            break
        if re.search(r"[.:/]", url) and ":/" not in url and not url.startswith("/"):
            url = "https://" + url
        if problem := _entry_problem(url):
            break
        found.append((url, separator))
    if not found and not problem:
        problem = "GOPROXY list is not the empty string, but contains no entries"
    rules = [_AFTER[separator] for _, separator in found[:-1]] + ["end"]
    entries = [
        ProxyEntry(url=mask_url(url), falls_through_on=rule) for (url, _), rule in zip(found, rules, strict=False)
    ]
    return tuple(entries), problem


def _entry_problem(url: str) -> str | None:
    """What newProxyRepo says against a base URL."""
    parts = _maybe_split(url)
    if parts is None:
        return f"invalid proxy URL: {mask_url(url)}"
    if not parts.scheme:
        return f"invalid proxy URL missing scheme: {mask_url(url)}"
    if parts.scheme not in ("https", "http", "file"):
        return f"invalid proxy URL scheme (must be https, http, file): {mask_url(url)}"
    if parts.scheme == "file" and (parts.netloc or parts.query or parts.fragment):
        return f"invalid file:// proxy URL with non-path elements: {mask_url(url)}"
    return None


def _checksum_database(value: str) -> tuple[str | None, str | None, str | None]:
    """(name, explicit URL, problem) as dbDial of modfetch/sumdb.go, but for the hash of the key."""
    if value == "off":
        return None, None, None
    fields = [DEFAULT_GOSUMDB, f"https://{_CHINA_SUMDB}"] if value == _CHINA_SUMDB else value.split()
    if not fields:
        return None, None, "missing GOSUMDB"
    if len(fields) > 2:
        return None, None, "invalid GOSUMDB: too many fields"
    name = fields[0].partition("+")[0]
    if fields[0] != DEFAULT_GOSUMDB and not _VERIFIER.fullmatch(fields[0]):
        return None, None, "invalid GOSUMDB: malformed verifier id"
    return name, fields[1] if len(fields) == 2 else None, None


def match_globs(globs: str, target: str) -> bool:
    """Whether a module path matches a comma-separated list such as GOPRIVATE (module.MatchPrefixPatterns)."""
    elements = target.split("/")
    for text in globs.split(","):
        glob = text.removesuffix("/")
        count = glob.count("/") + 1
        if glob and count <= len(elements):
            pattern = glob_pattern(glob)
            if pattern and pattern.fullmatch("/".join(elements[:count])):
                return True
    return False


_GLOB_TOKEN = re.compile(r"(?P<star>\*+)|(?P<any>\?)|\[(?P<negated>\^?)|\\(?P<escaped>.)|(?P<plain>[^\\])", re.DOTALL)
_GLOB_RANGE = re.compile(r"(?P<low>\\.|[^\\\]-])(?:-(?P<high>\\.|[^\\\]-]))?", re.DOTALL)


@lru_cache(maxsize=_MAX_GLOBS)
def glob_pattern(glob: str) -> re.Pattern[str] | None:
    """path.Match as a regular expression, without backtracking over stars; None for a malformed pattern."""
    chunks, position = [""], 0
    while position < len(glob):
        token = _GLOB_TOKEN.match(glob, position)
        if token is None:
            return None
        position = token.end()
        if token["star"]:
            chunks.append("")
        elif token["any"]:
            chunks[-1] += "[^/]"
        elif token["negated"] is not None:
            ranges = []
            while item := _GLOB_RANGE.match(glob, position):
                ranges.append((item["low"][-1], (item["high"] or item["low"])[-1]))
                position = item.end()
            if not ranges or glob[position : position + 1] != "]":
                return None
            position += 1
            # a reversed range matches nothing
            inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high)
            chunks[-1] += f"[{token['negated']}{inside}]" if inside else ("." if token["negated"] else "(?!)")
        else:
            chunks[-1] += re.escape(token["escaped"] or token["plain"])
    *middle, last = [f"[^/]*?{chunk}" for chunk in chunks[1:]] or [""]
    return re.compile(chunks[0] + "".join(f"(?>{chunk})" for chunk in middle) + last, re.DOTALL)


def proxy_for(url: str, process_env: Mapping[str, str]) -> str | None:
    """As raw_proxy_for, password masked."""
    proxy = raw_proxy_for(url, process_env)
    return mask_url(proxy) if proxy else None


def raw_proxy_for(url: str, process_env: Mapping[str, str]) -> str | None:
    """The forward proxy that go (net/http ProxyFromEnvironment) uses for a URL, credentials included; None for none."""
    target = _maybe_split(url)
    if target is None or target.scheme not in ("http", "https") or not target.hostname:
        return None
    name = "HTTPS_PROXY" if target.scheme == "https" else "HTTP_PROXY"
    proxy = _maybe_proxy(process_env.get(name) or process_env.get(name.lower()) or "")
    if target.scheme == "http" and process_env.get("REQUEST_METHOD"):
        return None  # in a CGI program HTTP_PROXY may come from the request; go refuses it
    no_proxy = process_env.get("NO_PROXY") or process_env.get("no_proxy") or ""
    port = str(target.port or {"http": 80, "https": 443}[target.scheme])
    if proxy is None or _bypasses(target.hostname, port, no_proxy):
        return None
    return proxy


def why_no_proxy(url: str, process_env: Mapping[str, str]) -> str | None:
    """The variable because of which go uses no proxy for a URL although one is configured; None when there is none.

    One of NO_PROXY, HTTP_PROXY (does not count for https), ALL_PROXY (go ignores it), as the environment spells it.
    """
    if raw_proxy_for(url, process_env):
        return None
    named = {name.upper(): name for name, value in process_env.items() if value}
    if raw_proxy_for(url, {name: value for name, value in process_env.items() if name.upper() != "NO_PROXY"}):
        return named.get("NO_PROXY")
    others = ("HTTP_PROXY", "ALL_PROXY") if url.startswith("https:") else ("ALL_PROXY",)
    return next((named[name] for name in others if name in named), None)


def matching_entries(url: str, no_proxy: str) -> list[str]:
    """The entries of NO_PROXY that match the host of a URL."""
    always = {"HTTP_PROXY": "http://proxy.invalid", "HTTPS_PROXY": "http://proxy.invalid"}
    entries = [text.strip() for text in no_proxy.split(",")]
    return [entry for entry in entries if entry and raw_proxy_for(url, always | {"NO_PROXY": entry}) is None]


def _maybe_proxy(value: str) -> str | None:
    if not value:
        return None
    parts = _maybe_split(value)
    if parts and parts.scheme and parts.netloc:
        return value
    return f"http://{value}" if _maybe_split(f"http://{value}") else None


def _bypasses(host: str, port: str, no_proxy: str) -> bool:
    """useProxy of httpproxy, negated. host: lower case, without brackets."""
    address = _maybe_address(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    entries = [text.strip().lower() for text in no_proxy.split(",")]
    return "*" in entries or any(_matches(entry, host, port, address) for entry in entries if entry)


def _matches(entry: str, host: str, port: str, address: _Address | None) -> bool:
    """One entry of NO_PROXY: CIDR, address or name, the last two with an optional port."""
    network = _maybe_network(entry)
    if network:
        return address is not None and address in network
    name, entry_port = _split_port(entry)
    if entry_port not in ("", port):
        return False
    literal = _maybe_address(name)
    if literal:
        return literal == address
    name = name[1:] if name.startswith("*.") else name
    if not name or address:
        return False
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(text: str) -> tuple[str, str]:
    """net.SplitHostPort, or the whole text where that fails."""
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)", text)
    return (found[1] or found[2] or "", found[3]) if found else (text, "")


def _maybe_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if not re.fullmatch(r"[0-9a-f:.]+/\d{1,3}", text):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _maybe_address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


_NOT_IN_URL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HOST = re.compile(r"[ \\^`{|}]")


def _maybe_split(url: str) -> SplitResult | None:
    """urlsplit where Go's url.Parse would not fail."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    wrong = _NOT_IN_URL.search(url) or _NOT_IN_HOST.search(parts.netloc.rpartition("@")[2])
    return None if wrong or re.search(r"%(?![0-9A-Fa-f]{2})", parts.netloc + parts.path) else parts

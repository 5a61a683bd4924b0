"""Typing errors in GOPROXY and in lists of module patterns: what was meant.

go splits GOPROXY at commas and bars only, takes a bare word for a keyword, and puts https:// before anything that looks
like a host (proxyList of cmd/go/internal/modfetch/proxy.go); it splits pattern lists at commas only and does not trim
(MatchPrefixPatterns of golang.org/x/mod/module).
"""

import re
from collections.abc import Collection
from difflib import get_close_matches

from trace_go.gocmd.environment import glob_pattern

_KEYWORDS = ("direct", "off")
_SEPARATOR = re.compile(r"\s*\\?([,|])\s*|\s*;\s*|\s+")
_SCHEME = re.compile(r"(?P<scheme>[a-z]{3,8})(?::+/{0,3}|/{2,3})(?=[^/])", re.IGNORECASE)
"""a scheme and what stands for `://` behind it"""
_SCHEMES = ("https", "http", "file")
_CLOSE = 0.85
"""similarity of difflib: one or two letters of a host name"""
_PATTERN_SEPARATOR = re.compile(r"[,;\s]+")
_NO_PATTERN = re.compile(r"[a-z]+://|[;:@\s]|^[./]", re.IGNORECASE)
"""what no module path begins with or holds (module.CheckPath)"""


def meant_goproxy(value: str, mirrors: Collection[str] = (), unknown: Collection[str] = ()) -> str:
    """A GOPROXY list as it was meant; `value` itself when nothing is wrong with it.

    mirrors: host names that entries may have been meant to name, if their own is one of `unknown`.

    >>> meant_goproxy("https//proxy.golang.org drect")
    'https://proxy.golang.org,direct'
    """
    pieces = _SEPARATOR.split(value.strip().strip("\"'"))
    entries = [_meant_entry(text, mirrors, unknown) for text in pieces[::2]]
    joined = entries[0] + "".join(f"{mark or ','}{text}" for mark, text in zip(pieces[1::2], entries[1:], strict=True))
    return value if joined == re.sub(r"\s*([,|])\s*", r"\1", value.strip()) else joined


def _meant_entry(text: str, mirrors: Collection[str], unknown: Collection[str]) -> str:
    if not re.search(r"[.:/]", text):
        close = get_close_matches(text.lower(), _KEYWORDS, n=1, cutoff=0.6)
        return close[0] if close else text
    found = _SCHEME.match(text)
    scheme, rest = "", text
    if found and (known := get_close_matches(found["scheme"].lower(), _SCHEMES, n=1, cutoff=0.7)):
        rest = text[found.end() :]
        scheme = "file:///" if known[0] == "file" else f"{known[0]}://"
    host, slash, path = rest.partition("/")
    close = get_close_matches(host, mirrors, n=1, cutoff=_CLOSE) if host in unknown else []
    return f"{scheme}{close[0] if close else host}{slash}{path}"


def meaningless(patterns: str) -> tuple[str, ...]:
    """Entries of a list such as GOPRIVATE that can match no module path."""
    entries = [text for text in patterns.split(",") if text]
    return tuple(text for text in entries if _NO_PATTERN.search(text) or glob_pattern(text.removesuffix("/")) is None)


def meant_patterns(patterns: str) -> str:
    """
    >>> meant_patterns("https://corp.example, git.corp.example:443/x")
    'corp.example,git.corp.example/x'
    """
    entries = (re.sub(r"^[a-z]+://|:\d+(?=/|$)", "", text) for text in _PATTERN_SEPARATOR.split(patterns))
    return ",".join(filter(None, (text.lstrip("./") for text in entries)))

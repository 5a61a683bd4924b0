"""Parts of URLs that logs and the wire name. Hostile ones have empty parts; nothing here raises."""

import re
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urljoin, urlsplit

REMEMBERED = 1024
"""answers kept per question: a capture of 60,000 connections goes to some dozens of hosts"""
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418, "git+ssh": 22, "socks5": 1080, "socks5h": 1080}
_NOTHING = urlsplit("")
_USERINFO = re.compile(r"(?<=:)//[^/?#]*@")
_FAKE = ip_network("198.18.0.0/15")
_MAX_PORT, _DIGITS = 65_535, 6


def split(url: str) -> SplitResult:
    """Also of git's scp form `git@host:path`, which is ssh."""
    if "://" not in url and 0 < url.find("@") < url.find(":"):
        host, _, path = url.split("@", 1)[1].partition(":")
        return SplitResult(scheme="ssh", netloc=host, path=f"/{path.lstrip('/')}", query="", fragment="")
    try:
        found = urlsplit(url)
        _ = found.hostname, found.port
    except ValueError:
        return _NOTHING
    return found


@lru_cache(maxsize=REMEMBERED)
def host_of(url: str) -> str:
    """Host in the form of plain_host; empty when there is none."""
    with suppress(ValueError):
        return plain_host(split(url).hostname or "")
    return ""


@lru_cache(maxsize=REMEMBERED)
def port_of(url: str) -> int:
    """The port, also where the scheme implies it; 0 = unknown."""
    found = split(url)
    with suppress(ValueError):
        return found.port or _PORTS.get(found.scheme, 0)
    return 0


def without_userinfo(url: str) -> str:
    """A URL as it is sent: user and password go into a header."""
    return _USERINFO.sub("//", url, count=1)


def join(base: str, location: str) -> str:
    """The absolute URL that a `Location` means; as it stands where that cannot be told."""
    with suppress(ValueError):
        return urljoin(base, location)
    return location


def endpoint(text: str) -> tuple[str, int] | None:
    """Host and port of `host:port` or `[ip]:port`; None for anything else."""
    host, _, port = text.rpartition(":")
    valid = port.isascii() and port.isdigit() and 0 < int(port[:_DIGITS]) <= _MAX_PORT and len(port) < _DIGITS
    return (plain_host(host.strip("[]")), int(port)) if host and valid else None


@lru_cache(maxsize=REMEMBERED)
def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=REMEMBERED)
def is_fake(address: str) -> bool:
    """Whether local proxies give such addresses to names: the range for benchmarks (RFC 2544), which nobody has."""
    return is_address(address) and ip_address(address) in _FAKE


@lru_cache(maxsize=REMEMBERED)
def plain_host(host: str) -> str:
    """A host as names and addresses are compared: lower case, no final dot, IPv6 in its shortest form."""
    return str(ip_address(host)) if is_address(host) else host.lower().rstrip(".")

"""Who a host is: data/hosts.toml, what GOPROXY and GOSUMDB name, and the user's trace-go.toml."""

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from trace_go.gocmd.config import Config
from trace_go.gocmd.environment import GoSettings
from trace_go.model.go import KnownHost

REMEMBERED = 1024
"""answers kept: a capture of 60,000 connections goes to some dozens of hosts"""


class HostBook:
    """Known hosts by name; where two say something of one name, the later wins."""

    def __init__(self, hosts: Iterable[KnownHost]) -> None:
        self._hosts = {host.name.lower(): host for host in hosts}
        self._remembered = lru_cache(REMEMBERED)(self._lookup)

    def covering(self, names: Iterable[str]) -> dict[str, KnownHost]:
        """Every known host, and each of `names` of which something is known."""
        return {**self._hosts, **{name: known for name in names if (known := self.lookup(name))}}

    def lookup(self, name: str) -> KnownHost | None:
        """By host name or address, without port: the name itself, else the longest `*.` pattern above it."""
        return self._remembered(name)

    def _lookup(self, name: str) -> KnownHost | None:
        key = name.lower().rstrip(".")
        if found := self._hosts.get(key):
            return found
        while key:
            _, _, key = key.partition(".")
            if key and (found := self._hosts.get(f"*.{key}")):
                return found
        return None

    def with_extra(self, hosts: Iterable[KnownHost]) -> "HostBook":
        """A new book with more hosts, which take precedence."""
        return HostBook([*self._hosts.values(), *hosts])


def load_hosts(extra: Config | None = None, plan: GoSettings | None = None) -> HostBook:
    """The built-in hosts, then those of GOPROXY and GOSUMDB that are not among them, then the user's."""
    book = HostBook(_built_in())
    found = []
    if plan:
        databases = (plan.sumdb and f"https://{plan.sumdb}", plan.sumdb_url)
        found += [(host, "mirror") for entry in plan.proxies if "://" in entry.url and (host := _host(entry.url))]
        found += [(host, "checksum-db") for text in databases if text and (host := _host(text))]
    named = []
    for host, role in found:
        known = book.lookup(host)
        if known is None or known.role != role:
            source = "GOPROXY" if role == "mirror" else "GOSUMDB"
            named.append(KnownHost(name=host, role=role, label=f"{source} entry {host}", source=source))
    return book.with_extra(named).with_extra(_configured(extra or Config()))


def _built_in() -> Iterable[KnownHost]:
    table = tomllib.loads((Path(__file__).parent / "data" / "hosts.toml").read_text(encoding="utf-8"))
    for role, hosts in table.items():
        for name, label in hosts.items():
            yield KnownHost(name=name, role=role, label=label, source="built in")


def _configured(config: Config) -> Iterable[KnownHost]:
    for role, label, hosts in (
        ("mirror", "mirror", config.mirrors),
        ("checksum-db", "checksum database", config.sumdbs),
        ("forward-proxy", "forward proxy", config.forward_proxies),
    ):
        for text in hosts:
            name = text if text.startswith("*.") else _host(f"https://{text}") or text
            yield KnownHost(name=name, role=role, label=f"{label} {text}", source="trace-go.toml")


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

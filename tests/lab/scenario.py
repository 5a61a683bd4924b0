"""A scenario is one TOML file in `scenarios/`: its world, its command, and what is true about the outcome.

Keys: title, require (go.mod lines), go_version (of go.mod), go_sum (lines), config (lines of trace-go.toml), prepare
(a command that runs before the capture), command, go (the toolchain's minor release), needs (keys of servers.OPTIONAL),
hosts_file (more lines of it), trust, ipv4, ipv6, limit_s; tables [files] (more for the client's folder), [env] (its go
environment), [settings] (what `go env -w` wrote), [unused_settings] (the same in its usual place, while GOENV names
another), [generated] (count, blob_bytes: more modules to require), [gateway], [adversary], [hosts."NAME"], [capture],
[truth], [truth.packets], [truth.keys], [[truth.requests]]: the classes below.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.modules import MIRRORED, PRIVATE, TOOLCHAINS, Module, generated, requirements

FOLDER = Path(__file__).parent / "scenarios"
PROXY_HOST, PROXY_PORT = "proxy.corp.example", 3128
PROXIES = {  # name: the program, a key of servers.PACKAGES; none for the lab's own
    "tinyproxy": "tinyproxy", "squid": "squid", "mitmproxy": "mitmdump", "microsocks": "microsocks", "badproxy": ""
}  # fmt: skip
FIRST_EXTRA = 100  # 198.51.100.100 and up: hosts that only one scenario has
FAULTS = {
    "nxdomain": "the resolver does not know the name",
    "dns-silent": "the resolver never answers for the name",
    "blackhole": "nobody has the address",
    "blackhole6": "nobody has the IPv6 address, a server has the other",
    "refused": "the host listens on no port",
}
SSH = {
    "open": "the client knows the host key, the server the client's key",
    "unknown": "the client does not know the host key",
    "changed": "the client knows another host key",
    "denied": "the server does not know the client's key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A server of the internet. `fault` is "", one of FAULTS, or one of adversary.MODES."""

    plays: str = "mirror"  # a key of servers.ROLES
    address: str = ""
    answers: Sequence[str] = ()  # what the resolver says; default its own addresses
    fault: str = ""
    chain: str = "good"  # one of pki.CHAINS
    tls: str = "TLSv1.2 TLSv1.3"  # nginx ssl_protocols
    port: int = 443  # of https
    http2: bool = True
    ssh: str = ""  # no ssh, or one of SSH
    password: str = ""  # `user:password` that the web server asks for
    rules: Mapping[str, str] = field(default_factory=dict)  # regular expression on the path: nginx directives

    @property
    def address6(self) -> str:
        return "2001:db8:3::" + ":".join(self.address.split(".")[2:])

    @property
    def served(self) -> bool:
        return self.fault in ("", "nxdomain", "dns-silent", "blackhole6")

    def addresses(self, *, ipv6: bool) -> list[str]:
        """The addresses that the host has; the resolver may know more."""
        v4 = [self.address] if self.fault != "blackhole" else []
        return v4 + ([self.address6] if ipv6 and not self.fault.startswith("blackhole") else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What stands in the gateway besides the router."""

    proxy: str = ""  # "" or a key of PROXIES; explicit (the client's proxy variables) unless `transparent`
    upstream: str = ""  # tinyproxy only: another of them, which it asks for all
    transparent: bool = False  # mitmproxy only: the client's ports 80 and 443 are redirected to it
    blocked: bool = False  # the client's ports 80 and 443 are not forwarded: only the proxy reaches the internet
    deny: Sequence[str] = ()  # tinyproxy answers CONNECT to these host names with 403
    password: str = ""  # tinyproxy and microsocks want user "lab" with it
    ca: str = ""  # common name of an authority of the lab's own: mitmproxy uses it; Squid breaks TLS open only with it
    trusted: bool = False  # the client trusts the interceptor's authority
    same_key: Sequence[str] = ()  # mitmproxy: hosts whose certificates have one key, not the authority's
    addons: Sequence[str] = ()  # mitmproxy: scripts of lab/addons
    fault: str = ""  # badproxy only: one of badproxy.MODES
    relay: Mapping[str, str] = field(default_factory=dict)  # fake address: the real one; a transparent proxy joins them

    @property
    def programs(self) -> list[str]:
        """The proxies' programs, as keys of servers.PACKAGES."""
        return [PROXIES[name] for name in (self.proxy, self.upstream) if name and PROXIES[name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversary:
    """Who stands on the path between gateway and internet, and to which names it does something: see lab.onpath."""

    mode: str = ""  # "" (nobody) or one of onpath.MODES
    names: Sequence[str] = ()
    after_bytes: int = 0
    every: int = 0
    delay_s: float = 0.0
    answer: str = ""  # an address
    toward: str = ""  # "client", "server" or both


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What captures/ holds of this scenario."""

    command: str = ""  # instead of the scenario's own, where that fetches larger modules
    keep: Sequence[str] = ("pcap",)  # pcap: what the client's interface saw; zip: what `trace-go -w` keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is true of the requests whose URL matches `url` (fnmatch); the first match counts."""

    url: str
    handled_by: str
    hops: Sequence[str]  # roles, from the client outwards; those that were reached
    claims_to_be: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a perfect analysis concludes."""

    status: str  # the verdict's
    cause: str = ""  # check ID of the first cause
    findings: Sequence[str]  # check IDs, sorted, each once; where the file has none: what `cause` names


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth(Outcome):
    """How the command ends (`exit`, and one of `says` somewhere in its stderr), and what is right to say about it."""

    exit: int = 0
    says: Sequence[str] = ("",)  # several for a race: a reset is an EOF to the one who reads after a writer met it
    requests: Sequence[Expected]
    packets: Outcome  # from packets alone; where the file is silent: as with go's account
    keys: Outcome | None = None  # from packets and TLS keys, where that is neither of the two

    def said(self, stderr: str) -> bool:
        return any(words in stderr for words in self.says)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    title: str
    require: Sequence[str] = ()
    go_sum: Sequence[str] = ()
    go_version: str = "1.21"
    config: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    hosts_file: str = ""  # more lines of it
    prepare: Sequence[str] = ()
    command: Sequence[str] = ("go", "mod", "download")
    go: str = ""  # a key of servers.TOOLCHAINS; else that of the locked tools
    needs: Sequence[str] = ()
    ipv4: bool = True  # the client's; the servers keep theirs
    ipv6: bool = False
    trust: Sequence[str] = ("public",)  # whose roots the client trusts: public, corp (pki.Authority.roots)
    limit_s: float | None = None  # the command is ended by SIGTERM after this time, as CI systems do
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    unused_settings: Mapping[str, str] = field(default_factory=dict)
    extra: Sequence[Module] = ()
    gateway: Gateway
    adversary: Adversary
    hosts: Mapping[str, Host]
    capture: Capture | None = None
    truth: Truth

    @property
    def ssh(self) -> bool:
        return any(host.ssh for host in self.hosts.values())

    @property
    def mirrored(self) -> list[Module]:
        return [*MIRRORED, *TOOLCHAINS, *self.extra]

    @property
    def main_requires(self) -> list[str]:
        return requirements([*self.require, *(m.id for m in self.extra)], [*self.mirrored, *PRIVATE])


HOSTS = {
    "proxy.golang.org": Host(plays="mirror", address="203.0.113.10"),
    "goproxy.cn": Host(plays="mirror", address="203.0.113.11"),
    "sum.golang.org": Host(plays="checksum-db", address="203.0.113.12"),
    "storage.googleapis.com": Host(plays="storage", address="198.51.100.20"),
    "git.corp.example": Host(plays="git", address="198.51.100.30"),
    "corp.example": Host(plays="vanity", address="198.51.100.31"),
}


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def hidden_because(name: str) -> str:
    """Why packets alone show another cause: the comment above [truth.packets]; empty where there is none."""
    found = re.search(r"((?:^# .*\n)+)\[truth\.packets\]", (FOLDER / f"{name}.toml").read_text(), re.MULTILINE)
    return " ".join(line.removeprefix("# ") for line in found[1].splitlines()) if found else ""


def load(name: str, change: str = "") -> Scenario:
    """Read one scenario. change: TOML lines laid over its file; an empty table there empties the file's.

    Raises FileNotFoundError, tomllib.TOMLDecodeError, KeyError or TypeError (unknown key).
    """
    table = _over(tomllib.loads((FOLDER / f"{name}.toml").read_text()), tomllib.loads(change))
    hosts = dict(HOSTS)
    for number, (host, changes) in enumerate(table.pop("hosts", {}).items(), FIRST_EXTRA):
        hosts[host] = Host(**_known(HOSTS.get(host), f"198.51.100.{number}") | changes)
    return Scenario(
        name=name,
        extra=generated(**table.pop("generated")) if "generated" in table else (),
        gateway=Gateway(**table.pop("gateway", {})),
        adversary=Adversary(**table.pop("adversary", {})),
        hosts=hosts,
        capture=Capture(**table.pop("capture")) if "capture" in table else None,
        truth=_truth(table.pop("truth")),
        **table,
    )


def _truth(table: dict[str, Any]) -> Truth:
    requests = [Expected(**row) for row in table.pop("requests")]
    packets, keys = table.pop("packets", {}), table.pop("keys", {})
    for outcome in (table, packets, keys):
        if "cause" in outcome:
            outcome.setdefault("findings", [outcome["cause"]] if outcome["cause"] else [])
    table.setdefault("findings", [])
    if isinstance(table.get("says"), str):
        table["says"] = [table["says"]]
    full = {key: table[key] for key in ("status", "cause", "findings") if key in table}
    with_keys = Outcome(**full | keys) if keys else None
    return Truth(requests=requests, packets=Outcome(**full | packets), keys=with_keys, **table)


def _known(host: Host | None, address: str) -> dict[str, Any]:
    return {"plays": host.plays, "address": host.address} if host else {"address": address}


def _over(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    deep = {
        key: _over(table.get(key, {}), value) for key, value in changes.items() if isinstance(value, dict) and value
    }
    return table | changes | deep

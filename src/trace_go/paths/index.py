"""Finds flows, lookups and judgements by host name: the joints between packets and names."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter

from msgspec.structs import replace

from trace_go.gocmd.hosts import HostBook
from trace_go.model.chain import Judgement
from trace_go.model.dns import Lookup
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow, Outcome, Traffic
from trace_go.model.go import KnownHost
from trace_go.model.tls import Certificate
from trace_go.paths.urls import host_of, is_address, plain_host, port_of

RECENT = 32
"""lookups of one name or address that are looked at for one flow: A and AAAA of a few retries and search domains"""
_ChainKey = tuple[str, tuple[str, ...]]
_START = attrgetter("start_ns")
_GIT_PROGRAMS = frozenset({"git", "git-remote-https", "git-remote-http"})


class Index:
    """Read-only views of one analysis's traffic. Names are in lower case without the final dot."""

    def __init__(self, traffic: Traffic, hosts: HostBook, judgements: Iterable[Judgement]) -> None:
        self.traffic = traffic
        self.hosts = hosts
        self.lookups: dict[str, list[Lookup]] = defaultdict(list)
        self._answers: dict[str, list[Lookup]] = defaultdict(list)
        """address → the lookups whose answer it is, by time"""
        for lookup in sorted(traffic.lookups, key=lambda item: item.start_ns):
            self.lookups[plain_host(lookup.name)].append(lookup)
            for address in lookup.addresses:
                self._answers[address].append(lookup)
        self.of_go = {flow.id for flow in traffic.flows if of_go(flow)}
        """flows"""
        self._named: dict[int, str | None] = {}
        self._to_proxy: dict[str, list[Flow]] = {}
        self.by_name: dict[str, list[Flow]] = defaultdict(list)
        """a flow that says no name stands under every name that DNS gave its address"""
        self.by_server: dict[tuple[str, int], list[Flow]] = defaultdict(list)
        for flow in traffic.flows:
            if flow.transport != "tcp" or flow.protocol == "dns":
                continue
            self.by_server[flow.server.ip, flow.server.port].append(flow)
            own = flow.name
            names = _own_names(flow, own) or self._resolved(flow)
            self._named[flow.id] = own or next(iter(names), None)
            for name in names:
                self.by_name[name].append(flow)
        self._seen: dict[_ChainKey, list[Judgement]] = defaultdict(list)
        self._probed: dict[str, Judgement] = {}
        self._inferred: dict[int, Judgement] = {}
        """flow → who answered it, where a second vantage tells"""
        self._interceptors: list[Judgement] = []
        """those that go did not trust, seen on the wire"""
        for judgement in judgements:
            if judgement.visibility is Visibility.INFERRED and judgement.flow is not None:
                self._inferred[judgement.flow] = judgement
            elif judgement.visibility is Visibility.PROBED:
                self._probed.setdefault(judgement.name, judgement)
            else:
                self._seen[_chain_key(judgement.name, judgement.chain)].append(judgement)
                if judgement.interceptor and not judgement.trusted:
                    self._interceptors.append(judgement)

    def _resolved(self, flow: Flow) -> list[str]:
        """Names whose answer held the flow's address before it began: known hosts first, then the latest."""
        before = _latest(self._answers.get(flow.server.ip, []), flow)
        own = [
            item for item in before if item.client == flow.client.ip
        ]  # else a resolver's, or over the other IP version
        names = dict.fromkeys(plain_host(lookup.name) for lookup in reversed(own or before))
        return sorted(names, key=lambda name: self.hosts.lookup(name) is None)

    def address_name(self, flow: Flow) -> str | None:
        """The name for which DNS gave the address that the flow goes to, also where it says another of itself."""
        return next(iter(self._resolved(flow)), None)

    def name(self, flow: Flow) -> str | None:
        """The name that a flow was meant for: said by itself, or inferred from the DNS answer that gave its address."""
        return self._named.get(flow.id)

    def known(self, name: str | None) -> KnownHost | None:
        return self.hosts.lookup(name) if name else None

    def judgement(self, flow: Flow | None, name: str | None) -> Judgement | None:
        """How the chain of this flow stands; a probe of the name stands in where TLS 1.3 hides the chain."""
        if not name or (flow and not flow.tls):
            return None
        if flow and flow.tls and flow.tls.chain:
            own = flow.name  # what the chain was judged for, else its address
            key = _chain_key(own or flow.server.ip, flow.tls.chain)
            found = self._seen.get(key, []) if own in (None, name) else []
            at_ns = flow.tls.server_ns or flow.start_ns
            return next((item for item in reversed(found) if item.at_ns <= at_ns), next(iter(found), None))
        if flow and flow.id in self._inferred:
            return self._inferred[flow.id]
        return self._probed.get(name) or (self._elsewhere(flow, name) if flow else None)

    def _elsewhere(self, flow: Flow, name: str) -> Judgement | None:
        """The interceptor that answered in place of a server whose hidden chain the client refused.

        It was seen on another connection for the same name, or by the same forward proxy.
        """
        if flow.outcome is not Outcome.REJECTED_CERTIFICATE:
            return None
        way = self._way(flow)
        found = next((item for item in self._interceptors if item.name == name or (way and item.flow in way)), None)
        if found is None:
            return None
        return replace(found, name=name, flow=flow.id, visibility=Visibility.INFERRED)

    def _way(self, flow: Flow) -> set[int]:
        """Ids of the tunnels by the same forward proxy."""
        if not flow.tunnel:
            return set()
        return {item.id for item in self.by_server[flow.server.ip, flow.server.port] if item.tunnel}

    def lookup(self, name: str, flow: Flow | None = None) -> Lookup | None:
        """The lookup that a connection to `name` rests on: one that gave its address, an answered one, or any."""
        found, address = _latest(self.lookups.get(name, []), flow)[::-1], flow.server.ip if flow else ""
        gave = next((item for item in found if address in item.addresses), None)
        return gave or next((item for item in found if item.addresses), None) or next(iter(found), None)

    def to_proxy(self, proxy: str) -> list[Flow]:
        """Flows to a forward proxy, given by its URL."""
        if proxy not in self._to_proxy:
            self._to_proxy[proxy] = self._to(host_of(proxy), port_of(proxy))
        return self._to_proxy[proxy]

    def _to(self, host: str, port: int) -> list[Flow]:
        if is_address(host):
            return self.by_server.get((host, port), [])
        addresses = {address for lookup in self.lookups.get(host, ()) for address in lookup.addresses}
        return [flow for address in sorted(addresses) for flow in self.by_server.get((address, port), [])]


def _latest(lookups: list[Lookup], flow: Flow | None) -> list[Lookup]:
    """The last RECENT lookups that began before the flow. lookups: by time."""
    end = bisect_right(lookups, flow.start_ns, key=_START) if flow else len(lookups)
    return lookups[max(end - RECENT, 0) : end]


def _own_names(flow: Flow, name: str | None) -> list[str]:
    """What the flow says of itself; a connection to a forward proxy may carry clear requests to several hosts."""
    if name and (flow.tls or flow.tunnel or not flow.exchanges):
        return [name]
    hosts = (exchange.host.rsplit(":", 1)[0].strip("[]") for exchange in flow.exchanges if exchange.host)
    return list(dict.fromkeys(map(plain_host, hosts)))


def _chain_key(name: str, chain: tuple[Certificate, ...]) -> _ChainKey:
    return name, tuple(certificate.sha256 for certificate in chain)


def passed_on(flows: Iterable[Flow]) -> set[int]:
    """Ids of TLS connections seen before, on the near side of a relay such as an agent on the client: same random."""
    first: dict[bytes, int] = {}
    return {
        flow.id
        for flow in flows
        if flow.tls and flow.tls.client_random and first.setdefault(flow.tls.client_random, flow.id) != flow.id
    }


def is_extra(flow: Flow) -> bool:
    """One of the connections that go opens beside the one it uses: closed without a request, in healthy runs too."""
    return flow.outcome is Outcome.IDLE


def of_go_world(flow: Flow, hosts: HostBook) -> bool:
    """Whether a flow is go's, or goes to a mirror or checksum database, whoever made it."""
    known = hosts.lookup(flow.name) if flow.name else None
    return of_go(flow) or (known is not None and known.role in ("mirror", "checksum-db"))


def of_go(flow: Flow) -> bool:
    """Whether a flow was made by the go command or its git, by fingerprint, User-Agent or process table."""
    return made_by(flow) is not None


def made_by(flow: Flow) -> str | None:
    """`go` or `git`, by fingerprint, User-Agent or process table; None for another program's, or when it is unknown."""
    program = flow.process.split(" ", 1)[0] if flow.process else ""
    found = "git" if program in _GIT_PROGRAMS else "go" if program == "go" else None
    for sign in (
        flow.tls and flow.tls.client,
        flow.exchanges and flow.exchanges[0].user_agent,
        flow.tunnel and flow.tunnel.user_agent,
    ):
        if sign and sign.startswith(("git ", "git/")):
            return "git"
        if sign and sign.startswith(("go ", "Go-http-client/", "GoCommand/")):
            found = found or "go"
    return found

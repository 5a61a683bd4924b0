"""Finds flows, lookups and judgements by host name: the joints between packets and names."""

from collections import defaultdict
from collections.abc import Iterable

from trace_go.gocmd.hosts import HostBook
from trace_go.model.chain import Judgement
from trace_go.model.dns import Lookup
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow, Outcome, Traffic
from trace_go.model.go import KnownHost
from trace_go.model.tls import Certificate

_ChainKey = tuple[str, tuple[str, ...]]


class Index:
    """Read-only views of one capture's traffic."""

    def __init__(self, traffic: Traffic, hosts: HostBook, judgements: Iterable[Judgement]) -> None:
        self.traffic = traffic
        self.hosts = hosts
        self.lookups: dict[str, list[Lookup]] = defaultdict(list)
        names: dict[str, list[str]] = defaultdict(list)
        for lookup in traffic.lookups:
            self.lookups[lookup.name].append(lookup)
            for address in lookup.addresses:
                if lookup.name not in names[address]:
                    names[address].append(lookup.name)
        self._names_of = names
        self._named: dict[int, str | None] = {}
        self.by_name: dict[str, list[Flow]] = defaultdict(list)
        self.by_server: dict[tuple[str, int], list[Flow]] = defaultdict(list)
        for flow in traffic.flows:
            if flow.transport != "tcp" or flow.protocol == "dns":
                continue
            name = self._named[flow.id] = self._name(flow)
            self.by_server[flow.server.ip, flow.server.port].append(flow)
            if name:
                self.by_name[name].append(flow)
        self._seen: dict[_ChainKey, Judgement] = {}
        self._probed: dict[str, Judgement] = {}
        for judgement in judgements:
            if judgement.visibility is Visibility.PROBED:
                self._probed.setdefault(judgement.name, judgement)
            else:
                self._seen.setdefault(_chain_key(judgement.name, judgement.chain), judgement)

    def _name(self, flow: Flow) -> str | None:
        """The name that a flow was meant for: said by itself, or inferred from the DNS answer that gave its address."""
        if flow.name:
            return flow.name
        candidates = self._names_of.get(flow.server.ip, [])
        return next((name for name in candidates if self.hosts.lookup(name)), candidates[0] if candidates else None)

    def name(self, flow: Flow) -> str | None:
        return self._named.get(flow.id)

    def known(self, name: str | None) -> KnownHost | None:
        return self.hosts.lookup(name) if name else None

    def judgement(self, flow: Flow | None, name: str | None) -> Judgement | None:
        """How the chain of this flow stands; a probe of the name stands in where TLS 1.3 hides the chain."""
        if flow and flow.tls and flow.tls.chain and name:
            return self._seen.get(_chain_key(name, flow.tls.chain))
        return self._probed.get(name) if name else None

    def lookup(self, name: str, before_ns: int = 0) -> Lookup | None:
        """The lookup of a name that a connection at `before_ns` rests on: an answered one if there is any."""
        found = [item for item in self.lookups.get(name, ()) if not before_ns or item.start_ns <= before_ns]
        good = [item for item in found if item.addresses]
        best = good or found
        return best[-1] if best else None


def _chain_key(name: str, chain: tuple[Certificate, ...]) -> _ChainKey:
    return name, tuple(certificate.sha256 for certificate in chain)


def is_extra(flow: Flow) -> bool:
    """One of the connections that go opens beside the one it uses: closed without a request, in healthy runs too."""
    return flow.outcome is Outcome.IDLE


def of_go_world(flow: Flow, hosts: HostBook) -> bool:
    """Whether a flow is go's, or goes to a mirror or checksum database, whoever made it."""
    known = hosts.lookup(flow.name) if flow.name else None
    return of_go(flow) or (known is not None and known.role in ("mirror", "checksum-db"))


def of_go(flow: Flow) -> bool:
    """Whether a flow was made by the go command or its git, by fingerprint, User-Agent or process table."""
    agents = [exchange.user_agent for exchange in flow.exchanges[:1]]
    if flow.tunnel:
        agents.append(flow.tunnel.user_agent)
    return (
        bool(flow.tls and flow.tls.client.startswith(("go ", "git ")))
        or any(agent and agent.startswith(("Go-http-client/", "GoCommand/", "git/")) for agent in agents)
        or bool(flow.process and flow.process.split(" ", 1)[0] in ("go", "git", "git-remote-https", "git-remote-http"))
    )

"""The certificate chains to be judged: where each was met, and for which name."""

from collections.abc import Iterable

from trace_go.gocmd.hosts import HostBook
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Traffic
from trace_go.model.probe import ProbeResult
from trace_go.paths.index import of_go_world
from trace_go.trust.judging import Sighting
from trace_go.wire.certificates import certificate


def seen(traffic: Traffic, hosts: HostBook) -> list[Sighting]:
    """On the wire, of connections that go made or that went to hosts of its world."""
    return [
        Sighting(
            name=name,
            flow=flow.id,
            packet=flow.tls.chain_packet,
            file=flow.file,
            chain=flow.tls.chain,
            at_ns=flow.tls.server_ns or flow.start_ns,
            visibility=Visibility.SEEN,
            public=_is_public(hosts, name),
        )
        for flow in traffic.flows
        if flow.tls and flow.tls.chain and (name := flow.name or flow.server.ip)
        if of_go_world(flow, hosts)
    ]


def probed(probes: Iterable[ProbeResult], hosts: HostBook) -> list[Sighting]:
    """Those that hosts showed when asked again."""
    return [
        Sighting(
            name=item.host,
            flow=None,
            packet=0,
            file=0,
            chain=tuple(map(certificate, item.chain)),
            at_ns=item.at_ns,
            visibility=Visibility.PROBED,
            public=_is_public(hosts, item.host),
        )
        for item in probes
        if item.chain
    ]


def _is_public(hosts: HostBook, name: str) -> bool:
    known = hosts.lookup(name)
    return known is not None and known.public

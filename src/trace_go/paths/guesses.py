"""Connections and names that nothing on them says to be a go command's, and that circumstances do.

A connection that never stood, or broke before its first name, has no fingerprint. But the go command resolves names by
itself (net/dnsclient_unix.go), and its queries look so. Where a client asks like that and nothing that it tried got
through, what it tried is taken for go's: inferred, with the reason as evidence.
"""

from trace_go.gocmd.hosts import HostBook
from trace_go.model.evidence import inference
from trace_go.model.flow import Flow, Traffic
from trace_go.model.ledger import Failure, Stage
from trace_go.paths.failures import failure, has_failed
from trace_go.paths.index import of_go_world

PROXY_PORTS = frozenset({1080, 3128})
"""SOCKS (IANA) and Squid's default, at which nothing else is usual"""
GUESSED = inference(
    "names were asked for as Go's own resolver does, and nothing that this client tried got through: taken for go's"
)


def guessed_clients(traffic: Traffic, hosts: HostBook) -> set[str]:
    """Addresses of clients all of whose connections are taken for go's."""
    clients = {lookup.client for lookup in traffic.lookups if lookup.as_go_asks}
    if clients:
        clients -= {flow.client.ip for flow in traffic.flows if of_go_world(flow, hosts) or _got_through(flow)}
    return clients


def _got_through(flow: Flow) -> bool:
    if flow.transport == "udp":
        return flow.protocol == "quic"
    return flow.protocol != "dns" and not has_failed(flow)


def to_proxy(flow: Flow, broken: Failure | None) -> Failure | None:
    """How a connection failed: at a port of forward proxies it was to reach one, or spoke TLS to one that does not."""
    if broken and flow.server.port in PROXY_PORTS and not flow.tunnel:
        if broken.stage is Stage.CONNECT:
            return failure("proxy-connect", f"{broken.text} at port {flow.server.port}, which is a forward proxy's")
        if broken.kind == "not-tls" and flow.tls and "HTTP/" in (flow.tls.problem or ""):
            where = f"port {flow.server.port}, which is a forward proxy's"
            text = f"what came from {where}, does not look like a TLS handshake: it is HTTP"
            return failure("proxy-protocol", text)
    return broken


def is_variant(name: str, names: set[str]) -> bool:
    """Whether a name is another with a search domain behind it (resolv.conf(5)).

    >>> is_variant("proxy.lan.example", {"proxy", "proxy.lan.example"}), is_variant("proxy", {"proxy"})
    (True, False)
    """
    return any(name.startswith(f"{other}.") for other in names)

"""Which flow carried a request: what go's log says of the connection, then how the request ended.

An idle extra connection carries nothing, and a connection that failed before its first request is one request's own:
go opens another for the next (net/http Transport). What stays open is told by `Carried.of`.
"""

import re

from msgspec import Struct

from trace_go.model.flow import Flow
from trace_go.model.ledger import Failure, Stage
from trace_go.paths.failures import OUTCOMES, SHARED, UNSENT, of_flow
from trace_go.paths.index import Index, is_extra, made_by
from trace_go.paths.urls import endpoint, is_address, port_of, split

_DIAL = re.compile(r"\b(?:dial|read|write) tcp (?:(?P<local>\S+)->)?(?P<remote>\S+?): ")
"""net.OpError: the addresses of the connection that failed"""


class Carried(Struct, frozen=True, kw_only=True):
    flow: Flow | None = None
    of: int = 1
    """number of flows that may as well have been it"""


class Wanted(Struct, frozen=True, kw_only=True):
    """A request, as far as it helps to find its flow."""

    url: str
    host: str
    answered: bool
    failure: Failure | None
    git: bool = False
    order: int = 0
    """of a git command: how many of this host came before it"""
    orders: int = 1
    """of a git command: how many this host has"""
    remote: str | None = None
    """`ip:port` that go's HTTP/2 log names"""
    flow: Flow | None = None
    """the flow, where the request was seen on it"""


class Carriers:
    """Gives each request of a ledger its flow. Keeps book of failed connections, so ask once for each request."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._failed_used: set[int] = set()

    def find(self, wanted: Wanted, proxy: str | None) -> Carried:
        """proxy: URL of the forward proxy that go is configured to use for this request."""
        if wanted.flow:
            return Carried(flow=wanted.flow)
        found = self._candidates(wanted)
        failed = wanted.failure if not wanted.answered else None
        if failed is None:
            return self._carrying(wanted, found or (self.index.to_proxy(proxy) if proxy else []))
        if failed.stage is Stage.DNS or failed.kind in UNSENT:
            return Carried()
        named = ends(failed.text)
        if named:
            local, remote = named
            found = self.index.by_server.get(remote, [])
            exact = [flow for flow in found if local == (flow.client.ip, flow.client.port)]
            if exact:
                return Carried(flow=exact[0])
        elif proxy:
            found = [*found, *(flow for flow in self.index.to_proxy(proxy) if flow not in found)]
        outcomes = OUTCOMES.get(failed.kind, frozenset())
        unused = [flow for flow in found if flow.outcome in outcomes and flow.id not in self._failed_used]
        if unused:
            self._failed_used.add(unused[0].id)
            return Carried(flow=unused[0])
        return self._carrying(wanted, found) if failed.kind in SHARED else Carried()

    def _candidates(self, wanted: Wanted) -> list[Flow]:
        """Flows to the host and port of the URL, by what they say of themselves or what DNS says of their address."""
        scheme, port = split(wanted.url).scheme, port_of(wanted.url)
        found = [flow for flow in self.index.by_name.get(wanted.host, ()) if _fits(flow, scheme, port)]
        if is_address(wanted.host):
            here = self.index.by_server.get((wanted.host, port), [])
            found += [flow for flow in here if flow not in found and _fits(flow, scheme, port)]
        return found

    def _carrying(self, wanted: Wanted, found: list[Flow]) -> Carried:
        """The flow among these that carried an answered request: most likely the one with most bytes."""
        exact = [flow for flow in found if any(exchange.url == wanted.url for exchange in flow.exchanges)]
        if exact:
            return Carried(flow=exact[0], of=len(exact))
        able = [flow for flow in found if _carries(flow)]
        program = "git" if wanted.git else "go"
        able = [flow for flow in able if made_by(flow) == program] or [
            flow for flow in able if made_by(flow) is None
        ]  # not the other program's, not a browser's where go's own is there
        remote = endpoint(wanted.remote or "")
        able = [flow for flow in able if (flow.server.ip, flow.server.port) == remote] or able
        if not able:
            return Carried()
        if wanted.git:
            return _in_order(wanted, able)
        return Carried(flow=max(able, key=lambda flow: flow.bytes_down), of=len(able))


def _in_order(wanted: Wanted, able: list[Flow]) -> Carried:
    """The connections of git processes by their ids, else by time: each git command starts a process of its own."""
    pids = {flow.id: _pid(flow) for flow in able}
    key = pids.__getitem__ if all(pids.values()) else {flow.id: flow.start_ns for flow in able}.__getitem__
    ordered = sorted(able, key=lambda flow: key(flow.id))
    of = max(len(able), wanted.orders)
    return Carried(flow=ordered[wanted.order], of=of) if wanted.order < len(ordered) else Carried(of=of)


def _pid(flow: Flow) -> int:
    found = re.search(r"\((\d{1,10})\)$", flow.process or "")
    return int(found[1]) if found else 0


def _carries(flow: Flow) -> bool:
    """Whether answers can have come over this flow, even if it broke afterwards."""
    if is_extra(flow):
        return False
    if of_flow(flow, None) is None:
        return True
    return bool(flow.tls and flow.tls.established_ns and flow.tls.client_app_bytes)


def _fits(flow: Flow, scheme: str, port: int) -> bool:
    """Whether a flow can be for a URL of this scheme and port. One that broke before its first byte fits any scheme."""
    clear = bool(flow.exchanges) and not flow.tls and not flow.tunnel
    if scheme == "http":
        return not flow.tls and (any(exchange.proxied for exchange in flow.exchanges[:1]) or flow.server.port == port)
    if clear and scheme == "https":
        return False
    if flow.tunnel:
        return flow.tunnel.authority.endswith(f":{port}")
    return flow.server.port == port


def ends(text: str) -> tuple[tuple[str, int] | None, tuple[str, int]] | None:
    """(local, remote) address of the connection that an error message of go names; None when it names none."""
    found = _DIAL.search(text)
    remote = endpoint(found["remote"]) if found else None
    return (endpoint(found["local"] or ""), remote) if found and remote else None

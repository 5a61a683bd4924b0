"""Which flow carried a request: what go's log says of the connection, then how the request ended.

An idle extra connection carries nothing, and a connection that failed before its first request is one request's own:
go opens another for the next (net/http Transport). What stays open is told by `Carried.of`.
"""

import re
from collections import defaultdict

from msgspec import Struct

from trace_go.model.flow import Flow
from trace_go.model.ledger import Failure, Stage
from trace_go.paths.failures import OUTCOMES, SHARED, SSH_KINDS, UNSENT, has_failed
from trace_go.paths.index import Index, is_extra, made_by
from trace_go.paths.urls import endpoint, is_address, port_of, split

_Place = tuple[str, str, int]
"""host, scheme and port"""
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


class Carriers:
    """Gives each request of a ledger its flow. Keeps book of failed connections, so ask once for each request."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._failed_used: set[int] = set()
        self._found: dict[_Place, list[Flow]] = {}
        self._sorted: dict[tuple[_Place, str, str | None, str | None], list[Flow]] = {}
        self._by_url: dict[str, list[Flow]] = defaultdict(list)
        for flow in (flow for flow in index.traffic.flows if flow.exchanges):
            for url in dict.fromkeys(exchange.url for exchange in flow.exchanges):
                self._by_url[url].append(flow)

    def find(self, wanted: Wanted, proxy: str | None) -> Carried:
        """proxy: URL of the forward proxy that go is configured to use for this request."""
        place = (wanted.host, split(wanted.url).scheme, port_of(wanted.url))
        failed = wanted.failure if not wanted.answered else None
        if failed is None:
            return self._carrying(wanted, place, proxy)
        if failed.stage is Stage.DNS or failed.kind in UNSENT:
            return Carried()
        found, named = self._candidates(place), ends(failed.text)
        if named:
            local, remote = named
            found = self.index.by_server.get(remote, [])
            exact = [flow for flow in found if local == (flow.client.ip, flow.client.port)]
            if exact:
                return Carried(flow=exact[0])
        elif proxy:
            found = list({flow.id: flow for flow in (*found, *self.index.to_proxy(proxy))}.values())
        outcomes = OUTCOMES.get(failed.kind, frozenset())
        unused = [flow for flow in found if flow.outcome in outcomes and flow.id not in self._failed_used]
        if unused:
            self._failed_used.add(unused[0].id)
            return Carried(flow=unused[0])
        return self._carrying(wanted, place) if failed.kind in SHARED | SSH_KINDS else Carried()

    def _candidates(self, place: _Place) -> list[Flow]:
        """Flows to the host and port of a URL, by what they say of themselves or what DNS says of their address."""
        if place not in self._found:
            host, scheme, port = place
            found = [flow for flow in self.index.by_name.get(host, ()) if _fits(flow, scheme, port)]
            if is_address(host):
                seen = {flow.id for flow in found}
                here = self.index.by_server.get((host, port), [])
                found += [flow for flow in here if flow.id not in seen and _fits(flow, scheme, port)]
            self._found[place] = found
        return self._found[place]

    def _carrying(self, wanted: Wanted, place: _Place, proxy: str | None = None) -> Carried:
        """The flow that carried an answered request: most likely the one with most bytes."""
        _, scheme, port = place
        exact = [flow for flow in self._by_url.get(wanted.url, ()) if _fits(flow, scheme, port)]
        if exact:
            return Carried(flow=exact[0], of=len(exact))
        able = self._able(place, "git" if wanted.git else "go", wanted.remote, proxy)
        if wanted.git:  # each command starts a process of its own
            of = max(len(able), wanted.orders)
            return Carried(flow=able[wanted.order], of=of) if wanted.order < len(able) else Carried(of=of)
        return Carried(flow=able[0], of=len(able)) if able else Carried()

    def _able(self, place: _Place, program: str, remote: str | None, proxy: str | None) -> list[Flow]:
        """Flows that can have carried answers to this program: go's with most bytes first, git's in order."""
        key = (place, program, remote, proxy)
        if key not in self._sorted:
            found = self._candidates(place) or (self.index.to_proxy(proxy) if proxy else [])
            able = [(made_by(flow), flow) for flow in found if _carries(flow)]
            # not the other program's, not a browser's where go's own is there
            own = [flow for by, flow in able if by == program] or [flow for by, flow in able if by is None]
            if program == "git" and not own:
                own = self._elsewhere(place)
            server = endpoint(remote or "")
            own = [flow for flow in own if (flow.server.ip, flow.server.port) == server] or own
            self._sorted[key] = _in_order(own) if program == "git" else sorted(own, key=lambda flow: -flow.bytes_down)
        return self._sorted[key]

    def _elsewhere(self, place: _Place) -> list[Flow]:
        """git's connections to the host of a URL by ssh or in clear: it goes there where it is set so (insteadOf)."""
        found = self.index.by_name.get(place[0], ())
        in_clear = [flow for flow in found if flow.exchanges and not flow.tls and made_by(flow) == "git"]
        return [flow for flow in (*(item for item in found if item.protocol == "ssh"), *in_clear) if _carries(flow)]


def _in_order(flows: list[Flow]) -> list[Flow]:
    """By the ids of their processes where all are known, else by time."""
    pids = {flow.id: _pid(flow) for flow in flows}
    known = all(pids.values())
    return sorted(flows, key=lambda flow: pids[flow.id] if known else flow.start_ns)


def _pid(flow: Flow) -> int:
    found = re.search(r"\((\d{1,10})\)$", flow.process or "")
    return int(found[1]) if found else 0


def _carries(flow: Flow) -> bool:
    """Whether answers can have come over this flow, even if it broke afterwards."""
    if is_extra(flow):
        return False
    if not has_failed(flow):
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

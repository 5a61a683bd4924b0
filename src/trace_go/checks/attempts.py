"""Connection attempts to one name that went to several addresses: which address failed while another worked."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from trace_go.checks.interference import forged_reset
from trace_go.checks.proof import flow_of, lookups_of
from trace_go.model.flow import Flow, Outcome
from trace_go.model.ledger import Artifact, Request, Stage
from trace_go.model.report import Case

_FAILED = (Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.UNREACHABLE)
_BEFORE = (Stage.DNS, Stage.CONNECT)
FALLBACK_NS = 250_000_000
"""go tries the other IP version 300 ms after the first attempt (net.Dialer.FallbackDelay)"""


class Detour(Struct, frozen=True, kw_only=True):
    """An attempt in vain, and the connection to another address of the same name that was made instead."""

    name: str
    failed: Flow
    worked: Flow
    requests: tuple[Request, ...]
    """those to this name that did not fail before they had a connection"""

    @property
    def cost_s(self) -> float:
        return (self.worked.syn_ns - self.failed.syn_ns) / 1e9

    @property
    def over_ipv6(self) -> bool:
        """The failed attempt was over IPv6 and got no answer, the other over IPv4."""
        silent = not self.failed.syn_ack_packet and not self.failed.icmp and self.failed.packets_down == 0
        return ":" in self.failed.server.ip and ":" not in self.worked.server.ip and silent


def detours(case: Case) -> Iterator[Detour]:
    """One for each address of a name that failed, with the first attempt there."""
    seen: set[tuple[str, str]] = set()
    for detour in _all(case):
        place = (detour.name, detour.failed.server.ip)
        if place not in seen:
            seen.add(place)
            yield detour


def made_good(case: Case, requests: Iterable[Request]) -> list[Request]:
    """Those of failed connections in place of which another was made at once, to another address of the name."""
    vain = {detour.failed.id for detour in _all(case)}
    return [
        item
        for item in requests
        if item.artifact is Artifact.CONNECTION and (flow := flow_of(case, item)) and flow.id in vain
    ]


def _all(case: Case) -> Iterator[Detour]:
    """Every attempt that another replaced."""
    for name, requests in case.by_name.items():
        addresses = {address for item in lookups_of(case, name) for address in item.addresses}
        good = tuple(item for item in requests if not item.failure or item.failure.stage not in _BEFORE)
        if len(addresses) < 2 or not good:
            continue
        tried = (flow for address in addresses for flow in case.attempts.get(address, ()))
        mine = sorted(tried, key=lambda flow: flow.id)
        worked = [flow for flow in mine if flow.outcome not in _FAILED and flow.syn_ack_packet]
        for flow in mine:
            instead = next((other for other in worked if _replaces(other, flow)), None)
            if instead:
                yield Detour(name=name, failed=flow, worked=instead, requests=good)


def _replaces(other: Flow, flow: Flow) -> bool:
    """Whether a connection was made because an attempt had failed, or had been silent for too long."""
    alike = (other.file, other.server.port) == (flow.file, flow.server.port)
    if not alike or other.server.ip == flow.server.ip or other.syn_ns < flow.syn_ns or forged_reset(flow):
        return False
    abandoned = flow.packets_down == 0 and other.syn_ns - flow.syn_ns >= FALLBACK_NS
    return flow.outcome in _FAILED or abandoned

"""One row of the ledger before packets are joined to it, and the sendings of a request that go counts as one."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from trace_go.gocmd.replay import Attempt
from trace_go.model import evidence
from trace_go.model.evidence import Evidence, Visibility
from trace_go.model.flow import Flow
from trace_go.model.go import Http2Exchange
from trace_go.model.http import Exchange
from trace_go.model.ledger import Artifact, Failure, Inference
from trace_go.paths.urls import host_of
from trace_go.wire.goproxy import ModuleUrl
from trace_go.wire.secrets import mask_url

_ASKS_WHO = 401


class Sent(Struct, frozen=True, kw_only=True):
    """One request seen in the packets."""

    flow: Flow
    exchange: Exchange

    @property
    def status(self) -> int | None:
        return self.exchange.status


class Row(Struct, frozen=True, kw_only=True):
    url: str
    artifact: Artifact
    parts: ModuleUrl | None = None
    status: int | None = None
    reason: str = ""
    elapsed_s: float | None = None
    failure: Failure | None = None
    redirects: tuple[str, ...] = ()
    """URLs of `Location` answers, absolute"""
    followed: tuple[str, ...] = ()
    """those of them that were asked in turn"""
    repeats: int = 0
    evidence: tuple[Evidence, ...] = ()
    visibility: Visibility = Visibility.SEEN
    attempt: Attempt | None = None
    flow: Flow | None = None
    """the flow, where the source of the row is one"""
    sent: tuple[Sent, ...] = ()
    """the sendings of it that the packets show"""
    remote: str | None = None
    answered: bool = False
    unfinished: bool = False
    """go was still waiting for the answer, or for its end, when the log ended"""
    order: int = 0
    """of a git command among those to its host"""
    orders: int = 1
    bytes_down: int | None = None
    h1: str | None = None
    start_ns: int = 0
    inferred: tuple[Inference, ...] = ()
    line: int = 0
    """first line of the log that tells of it; 0 = none does"""

    @property
    def host(self) -> str:
        return host_of(self.url)


def evidence_of_exchange(flow: Flow, exchange: Exchange) -> Evidence:
    number = exchange.response_packet or exchange.request_packet
    how = f" (decrypted{f', stream {exchange.stream}' if exchange.stream else ''})" if exchange.decrypted else ""
    said = exchange.status or exchange.aborted or "no answer"
    return evidence.packet(number, f"{exchange.method} {exchange.url} → {said}{how}", flow.file)


_Sending = TypeVar("_Sending", Http2Exchange, Sent)


def sendings(
    exchanges: Sequence[_Sending], repeats: bool, ended: Callable[[_Sending], int | None]
) -> Iterable[Sequence[_Sending]]:
    """Equal requests, those together that go counts as one: net/http repeats without an answer, GOAUTH after a 4xx.

    ended: the status behind all redirects.
    """
    group: list[_Sending] = []
    for item in exchanges:
        before = ended(group[-1]) if group else None
        again = before in (None, _ASKS_WHO) or (repeats and 400 <= (before or 0) < 500 and len(group) == 1)
        if group and not again:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def sent_by_url(
    flows: Iterable[Flow], repeats: bool, ended: Callable[[Sent], int | None]
) -> dict[str, list[Sequence[Sent]]]:
    """Masked URL → its requests in the packets, by time. Those of several clients stand apart."""
    found: dict[tuple[str, str], list[Sent]] = defaultdict(list)
    for flow in flows:
        for exchange in flow.exchanges:
            found[flow.client.ip, mask_url(exchange.url)].append(Sent(flow=flow, exchange=exchange))
    groups: dict[str, list[Sequence[Sent]]] = defaultdict(list)
    for (_, url), items in found.items():
        groups[url] += sendings(sorted(items, key=lambda item: item.exchange.request_ns), repeats, ended)
    for several in groups.values():
        several.sort(key=lambda group: group[0].exchange.request_ns)
    return groups

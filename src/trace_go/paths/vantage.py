"""Joins two vantages of one run: by the random of the ClientHello, which a relay passes on unchanged, name and time.

Clocks may differ: connections that were relayed tell by how much. Without one only names and order are left.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from trace_go.gocmd.hosts import HostBook
from trace_go.model.chain import Judgement
from trace_go.model.crossing import Crossing, Relation
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.flow import Flow, Traffic
from trace_go.model.tls import TlsState
from trace_go.paths.index import of_go_world
from trace_go.trust.interceptors import issuer_name

UNNAMED = "A machine before the second vantage"
WINDOW_NS = 60_000_000_000
"""how far apart, clocks compared, the two legs of one connection may begin: longer than go waits for a tunnel"""
_SIGN = "its ClientHello does not arrive at the second vantage, another one for the same name does"


def crossings(near: Traffic, far: Traffic, hosts: HostBook) -> tuple[Crossing, ...]:
    """One for each TLS connection of go's world in `near`. far: what the capture beyond the gateway showed."""
    from statistics import median  # needed rarely, and takes 2 ms to import

    mine = [flow for flow in near.flows if _random(flow) and of_go_world(flow, hosts)]
    arrived = {_random(flow): flow for flow in far.flows if _random(flow)}
    relayed = {flow.id: arrived[_random(flow)] for flow in mine if _random(flow) in arrived}
    shifts = [_hello_ns(relayed[flow.id]) - _hello_ns(flow) for flow in mine if flow.id in relayed]
    clock_ns = round(median(shifts)) if shifts else None
    own = {_random(flow) for flow in near.flows}
    others: dict[str, list[Flow]] = defaultdict(list)
    for flow in far.flows:
        if _random(flow) and _random(flow) not in own and flow.name:
            others[flow.name].append(flow)
    rank: dict[str, int] = defaultdict(int)
    found = []
    for flow in mine:
        name, other = flow.name or flow.server.ip, relayed.get(flow.id)
        relation = Relation.RELAYED if other else Relation.ABSENT
        if other is None and flow.tls and flow.tls.server:
            other = _replacement(flow, others[name], rank[name], clock_ns)
            rank[name] += 1
            relation = Relation.TERMINATED if other else Relation.ABSENT
        found.append(_crossing(flow, name, relation, other, clock_ns))
    return tuple(found)


def _replacement(flow: Flow, others: Sequence[Flow], rank: int, clock_ns: int | None) -> Flow | None:
    """The connection that somebody made in place of this one: the nearest in time, else the next in order."""
    if not others:
        return None
    if clock_ns is None:
        return others[min(rank, len(others) - 1)]
    begun = _hello_ns(flow) + clock_ns
    nearest = min(others, key=lambda other: abs(_hello_ns(other) - begun))
    return nearest if abs(_hello_ns(nearest) - begun) <= WINDOW_NS else None


def _crossing(flow: Flow, name: str, relation: Relation, other: Flow | None, clock_ns: int | None) -> Crossing:
    return Crossing(
        flow=flow.id,
        name=name,
        relation=relation,
        file=flow.file,
        packet=flow.tls.hello_packet if flow.tls else 0,
        beyond_file=other.file if other else 0,
        beyond_packet=other.tls.hello_packet if other and other.tls else 0,
        server=f"{other.server.ip}:{other.server.port}" if other else "",
        clock_s=clock_ns / 1e9 if clock_ns is not None else None,
    )


def with_crossings(
    judgements: Iterable[Judgement], found: Iterable[Crossing], traffic: Traffic
) -> tuple[Judgement, ...]:
    """The judgements, with what the second vantage tells: who ends TLS on the way is an interceptor, whatever it shows.

    A connection whose chain neither the packets nor a probe show gets a judgement of its own, without a chain.
    """
    ended = {item.flow: item.name for item in found if item.relation is Relation.TERMINATED}
    told: list[Judgement] = []
    explained: set[str] = set()
    for judgement in judgements:
        by_name = judgement.visibility is Visibility.PROBED and judgement.name in ended.values()
        passed = not by_name and judgement.flow not in ended
        told.append(judgement if passed else _confirmed(judgement))
        explained |= set() if passed else {judgement.name}
    hidden = [flow for flow in traffic.flows if flow.id in ended and ended[flow.id] not in explained]
    return (*told, *(_unnamed(flow, ended[flow.id]) for flow in hidden))


def _confirmed(judgement: Judgement) -> Judgement:
    named = judgement.interceptor is not None
    return replace(
        judgement,
        interceptor=judgement.interceptor or issuer_name(judgement.chain[0]),
        interceptor_why=(*judgement.interceptor_why, _SIGN),
        interceptor_confidence=Confidence.CERTAIN if named else Confidence.HIGH,
    )


def _unnamed(flow: Flow, name: str) -> Judgement:
    return Judgement(
        name=name,
        flow=flow.id,
        packet=flow.tls.hello_packet if flow.tls else 0,
        file=flow.file,
        chain=(),
        visibility=Visibility.INFERRED,
        trusted=flow.tls is not None and flow.tls.state is TlsState.ESTABLISHED,
        fault=None,
        detail="",
        trust="",
        at_ns=flow.start_ns,
        interceptor=UNNAMED,
        interceptor_why=(_SIGN,),
        interceptor_confidence=Confidence.HIGH,
    )


def _random(flow: Flow) -> bytes:
    return flow.tls.client_random if flow.tls else b""


def _hello_ns(flow: Flow) -> int:
    return flow.tls.hello_ns if flow.tls else 0

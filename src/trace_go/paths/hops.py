"""The hops of a request: who stands between the client and the answer, where it broke, and who answered."""

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from trace_go.model.chain import Judgement
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.flow import Flow
from trace_go.model.ledger import Failure, HandledBy, Hop, Role, Stage
from trace_go.paths.carrier import Carried
from trace_go.paths.index import Index, made_by
from trace_go.paths.urls import host_of, is_address, is_fake, plain_host

ROLES = {role.value: role for role in Role}

_HANDLERS = {
    Role.MIRROR: HandledBy.MIRROR,
    Role.CDN: HandledBy.MIRROR,
    Role.CHECKSUM_DB: HandledBy.CHECKSUM_DB,
    Role.ORIGIN: HandledBy.DIRECT,
}
FORGER = "A device on the way"
_BEFORE_TLS = (Stage.DNS, Stage.CONNECT, Stage.PROXY)
_ASKED_RESOLVER = re.compile(r"\blookup \S+ on (\S+?):\d+: ")
"""net.DNSError"""


class Leg(Struct, frozen=True, kw_only=True):
    """The way to one host: the request's own, or one that a redirect named."""

    host: str
    role: Role
    https: bool
    proxy: str | None
    """URL of the configured forward proxy, when one applies"""
    carried: Carried
    judged: Judgement | None
    """of the chain that its flow was shown"""
    failure: Failure | None = None
    """what broke on this leg"""
    address: str | None = None
    """address of the server that go's log names"""
    opaque: bool = False
    """neither the requests on the connection are known, nor what for it was opened"""
    forged: bool = False
    """the answer that the client took was put in the place of the server's on the way"""

    @property
    def flow(self) -> Flow | None:
        return self.carried.flow

    @property
    def judgement(self) -> Judgement | None:
        """Of the chain that this leg was shown; None when it broke before TLS, or has none."""
        if not self.https or (self.failure and self.failure.stage in _BEFORE_TLS):
            return None
        return self.judged


def proxied(index: Index, leg: Leg) -> bool:
    """Whether the leg goes through a forward proxy: by its packets, else by configuration."""
    flow = leg.flow
    if flow is None:
        return bool(leg.proxy)
    if flow.tunnel or any(exchange.proxied for exchange in flow.exchanges[:1]):
        return True
    return bool(leg.proxy) and any(item.id == flow.id for item in index.to_proxy(leg.proxy or ""))


def hops(index: Index, legs: Sequence[Leg]) -> tuple[Hop, ...]:
    """The parties in order; a machine that intercepts several legs stands once."""
    way: list[Hop] = []
    for number, leg in enumerate(legs):
        for hop in _leg(index, leg, redirected=number > 0):
            again = hop.role is Role.INTERCEPTOR and any(item.label == hop.label for item in way)
            if not again or hop.broken:
                way.append(hop)
    return tuple(way)


def _leg(index: Index, leg: Leg, *, redirected: bool) -> list[Hop]:
    flow, through = leg.flow, proxied(index, leg)
    stage = leg.failure.stage if leg.failure else None
    proxy_host = host_of(leg.proxy) if leg.proxy else index.address_name(flow) if through and flow else None
    way: list[Hop] = []
    if not redirected or stage is Stage.DNS:
        way += _resolver(index, proxy_host if through else leg.host, leg)
    if through and (not redirected or stage in (Stage.PROXY, Stage.CONNECT)):
        address = flow.server.ip if flow else proxy_host if proxy_host and is_address(proxy_host) else None
        own = index.known(proxy_host) or index.known(address)
        way.append(
            Hop(
                role=Role.FORWARD_PROXY,
                host=proxy_host or address,
                ip=address,
                flow=flow.id if flow else None,
                label=own.label if own and own.role == Role.FORWARD_PROXY else "",
                own=own is not None and own.role == Role.FORWARD_PROXY,
                visibility=Visibility.SEEN if flow else Visibility.INFERRED,
                broken=stage in (Stage.PROXY, Stage.CONNECT),
            )
        )
    fake = flow is not None and not through and is_fake(flow.server.ip)
    if flow and fake and not redirected:
        label = f"local proxy (fake address {flow.server.ip})"
        way.append(Hop(role=Role.FORWARD_PROXY, host=None, ip=None, flow=flow.id, label=label))
    judgement = leg.judgement
    hidden = bool(judgement and judgement.interceptor)
    if judgement and judgement.interceptor:
        way.append(
            Hop(
                role=Role.INTERCEPTOR,
                host=None,
                ip=flow.server.ip if flow else None,
                flow=flow.id if flow else None,
                label=judgement.interceptor,
                visibility=judgement.visibility,
                broken=stage is Stage.TLS,
            )
        )
    if leg.forged:
        way.append(
            Hop(
                role=Role.INTERCEPTOR,
                host=None,
                ip=None,
                flow=flow.id if flow else None,
                label=FORGER,
                broken=stage is not None,
            )
        )
    known = index.known(leg.host)
    # Whoever terminates TLS hides what is behind it; that the named server was reached is then hearsay.
    hidden = hidden or leg.forged
    guessed = leg.opaque and not _purpose(index, leg)
    way.append(
        Hop(
            role=leg.role,
            host=leg.host,
            ip=None if through or fake else flow.server.ip if flow else leg.address,
            flow=flow.id if flow else None,
            label=known.label if known else "",
            own=known is not None and known.source == "trace-go.toml",
            public=known is not None and known.public,
            visibility=Visibility.INFERRED if hidden or guessed or flow is None or through or fake else Visibility.SEEN,
            broken=leg.failure is not None and not any(hop.broken for hop in way),
        )
    )
    return [replace(hop, redirected=True) for hop in way] if redirected else way


def _resolver(index: Index, name: str | None, leg: Leg) -> list[Hop]:
    """The resolver that was asked for the name; when the packets do not show it, only where go says that it failed."""
    broken = leg.failure is not None and leg.failure.stage is Stage.DNS
    lookup = index.lookup(name, leg.flow) if name else None
    if lookup:
        gave = leg.flow is None or leg.flow.server.ip in lookup.addresses
        visibility = Visibility.SEEN if gave else Visibility.INFERRED
        return [Hop(role=Role.RESOLVER, host=None, ip=lookup.resolver, flow=None, visibility=visibility, broken=broken)]
    if not leg.failure or not broken:
        return []
    said = _ASKED_RESOLVER.search(leg.failure.text)
    ip = plain_host(said[1].strip("[]")) if said else None
    return [Hop(role=Role.RESOLVER, host=None, ip=ip, flow=None, visibility=Visibility.INFERRED, broken=True)]


def handler(index: Index, legs: Sequence[Leg], *, answered: bool) -> tuple[HandledBy, Confidence]:
    """Who answered, and how sure that is.

    An interceptor wins over the name that it claims. Go's word that a chain was fine does not tell whose chain it was.
    """
    for leg in legs:
        if leg.forged:
            return HandledBy.MITM, Confidence.HIGH
        judgement = leg.judgement
        if judgement and judgement.interceptor and (answered or (leg.flow and leg.flow.tls and leg.flow.tls.server)):
            told = judgement.interceptor_confidence or Confidence.HIGH
            return HandledBy.MITM, Confidence.MEDIUM if judgement.visibility is Visibility.INFERRED else told
    if not answered:
        broken = any(leg.failure for leg in legs)
        return (HandledBy.NONE, Confidence.HIGH) if broken else (HandledBy.UNKNOWN, Confidence.LOW)
    leg = legs[0]
    judgement = leg.judgement
    found = _HANDLERS.get(leg.role, HandledBy.UNKNOWN)
    trusted = judgement is not None and judgement.trusted
    if found is HandledBy.UNKNOWN or (leg.opaque and not (trusted and _purpose(index, leg))):
        return HandledBy.UNKNOWN, Confidence.LOW
    if trusted:
        return found, Confidence.HIGH
    missing = leg.flow is None and bool(index.traffic.flows)
    return found, Confidence.LOW if missing else Confidence.MEDIUM


def _purpose(index: Index, leg: Leg) -> bool:
    """Whether who is asked tells what for: a known host, or a server that git asks."""
    return index.known(leg.host) is not None or bool(leg.flow and made_by(leg.flow) == "git")

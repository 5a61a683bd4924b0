"""The hops of a request: who stands between the client and the answer, and where it broke."""

import ipaddress
from urllib.parse import urlsplit

from trace_go.model.chain import Judgement
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow
from trace_go.model.ledger import Failure, HandledBy, Hop, Role, Stage
from trace_go.paths.index import Index

ROLES = {role.value: role for role in Role}


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def hops(
    index: Index, host: str, flow: Flow | None, *, proxy: str | None, failure: Failure | None, role: Role
) -> tuple[Hop, ...]:
    """The way to `host`. proxy: URL of the configured forward proxy, when one applies; role: what `host` is."""
    through = bool(proxy) or bool(flow and (flow.tunnel or any(item.proxied for item in flow.exchanges[:1])))
    proxy_host = urlsplit(proxy).hostname if proxy else None
    asked = proxy_host if through else host
    stage = failure.stage if failure else None
    way: list[Hop] = []
    lookup = index.lookup(asked, flow.start_ns if flow else 0) if asked else None
    if lookup:
        way.append(Hop(role=Role.RESOLVER, host=None, ip=lookup.resolver, flow=None, broken=stage is Stage.DNS))
    if through:
        at_proxy = stage is Stage.PROXY or stage is Stage.CONNECT
        way.append(
            Hop(
                role=Role.FORWARD_PROXY,
                host=proxy_host or (flow.server.ip if flow else None),
                ip=flow.server.ip if flow else (proxy_host if proxy_host and is_address(proxy_host) else None),
                flow=flow.id if flow else None,
                visibility=Visibility.SEEN if flow else Visibility.INFERRED,
                broken=at_proxy,
            )
        )
    judgement = index.judgement(flow, host)
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
    known = index.known(host)
    # Whoever terminates TLS hides what is behind it; that the named server was reached is then hearsay.
    hidden = bool(judgement and judgement.interceptor)
    broken_before = any(hop.broken for hop in way)
    way.append(
        Hop(
            role=role,
            host=host,
            ip=flow.server.ip if flow and not through else None,
            flow=flow.id if flow else None,
            label=known.label if known else "",
            visibility=Visibility.INFERRED if hidden or flow is None or through else Visibility.SEEN,
            broken=failure is not None and not broken_before,
        )
    )
    return tuple(way)


def handled_by(role: Role, judgement: Judgement | None, *, reached_tls: bool, answered: bool) -> HandledBy:
    """Who answered: an interceptor wins over the name it claims; nobody when there was no answer."""
    if judgement and judgement.interceptor and (reached_tls or answered):
        return HandledBy.MITM
    if not answered:
        return HandledBy.NONE
    return {Role.MIRROR: HandledBy.MIRROR, Role.CDN: HandledBy.MIRROR, Role.CHECKSUM_DB: HandledBy.CHECKSUM_DB}.get(
        role, HandledBy.DIRECT
    )

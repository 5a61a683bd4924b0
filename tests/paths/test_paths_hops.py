"""Which hop a request was addressed to, and which was asked when it broke."""

import pytest

from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.ledger import Artifact, HandledBy, Hop, Request, RequestTimings, Role

RESOLVER, PROXY, BREAKER = (Role.RESOLVER, "", False), (Role.FORWARD_PROXY, "p", False), (Role.INTERCEPTOR, "", False)
MIRROR, STORE = (Role.MIRROR, "m", False), (Role.CDN, "s", False)


def broken(hop: tuple[Role, str, bool]) -> tuple[Role, str, bool]:
    return hop[0], hop[1], True


def request(*hops: tuple[Role, str, bool]) -> Request:
    roles = [role for role, _, _ in hops]
    own = roles.index(Role.MIRROR) if Role.MIRROR in roles else 0
    return Request(
        id=0,
        url=None,
        module=None,
        version=None,
        artifact=Artifact.ZIP,
        attempt=1,
        repeats=0,
        proxy_entry=None,
        next_entry=None,
        status=None,
        status_text="",
        redirects=(),
        handled_by=HandledBy.NONE,
        claims_to_be=None,
        hops=tuple(
            Hop(role=role, host=host, ip=None, flow=None, broken=bad, redirected=number > own)
            for number, (role, host, bad) in enumerate(hops)
        ),
        timings=RequestTimings(),
        bytes_up=None,
        bytes_down=None,
        failure=None,
        visibility=Visibility.SEEN,
        confidence=Confidence.LOW,
        evidence=(),
    )


@pytest.mark.parametrize(
    ("hops", "target", "asked"),
    [
        ((RESOLVER, MIRROR), "m", "m"),
        ((RESOLVER, broken(MIRROR)), "m", "m"),
        ((broken(RESOLVER), MIRROR), "m", "m"),
        ((RESOLVER, broken(PROXY), MIRROR), "m", "m"),
        ((RESOLVER, PROXY, broken(BREAKER), MIRROR), "m", "m"),
        ((RESOLVER, MIRROR, STORE), "m", "s"),
        ((RESOLVER, MIRROR, broken(STORE)), "m", "s"),
        ((RESOLVER, MIRROR, broken(RESOLVER), STORE), "m", "s"),
        ((RESOLVER, broken(MIRROR), STORE), "m", "m"),
        ((RESOLVER, MIRROR, broken(BREAKER), STORE), "m", "s"),
    ],
)
def test_target_and_asked(hops: tuple[tuple[Role, str, bool], ...], target: str, asked: str) -> None:
    item = request(*hops)
    assert item.target
    assert item.asked
    assert (item.target.host, item.asked.host) == (target, asked)


def test_no_hops() -> None:
    item = request()
    assert (item.target, item.asked) == (None, None)

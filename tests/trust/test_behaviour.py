"""Supporting signs: what each rests on, that they raise a doubt only, and that honest hosts have none of them told."""

from typing import Any

import pytest
from msgspec.structs import replace

from paths.made import MS, Net, certificate, exchange
from trace_go.model.chain import Judgement
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.flow import Flow
from trace_go.trust.behaviour import known_hosts, with_behaviour
from trace_go.trust.judging import Sighting, judge_all
from trace_go.wire.tls_names import version_name
from trust.authority import NAME, NOW_NS, chain, intermediate, leaf, root, store

MIRROR = "proxy.golang.org"
LONG = 12_000  # bytes of a flight


def connection(name: str = MIRROR, *, tls: dict[str, Any] | None = None, server: Any = None, **changes: Any) -> Flow:
    """TLS 1.3 without keys to a distant server, with nothing odd about it but what is said."""
    flow = Net().flow(name, **{"syn_ack_ttl": 52, **changes})
    assert flow.tls
    assert flow.tls.server
    known = {"extension_types": (51, 43), **(server or {})}
    session = {"server_flight_bytes": LONG, "server_ns": flow.tls.hello_ns + MS, **(tls or {})}
    return replace(flow, tls=replace(flow.tls, server=replace(flow.tls.server, **known), **session))


def judged(flow: Flow, **changes: Any) -> Judgement:
    """An interceptor that a probe has found."""
    judgement = Net().intercept(None, flow.name or "")
    return replace(judgement, **{"public": True, **changes})


def marks(flow: Flow, **changes: Any) -> list[str]:
    (judgement,) = with_behaviour([judged(flow, **changes)], [flow])
    return [piece.text for piece in judgement.interceptor_marks]


def test_nothing_odd_is_not_told() -> None:
    assert marks(connection()) == []


def test_another_version() -> None:
    (text,) = marks(connection(server={"version": 0x303, "alpn": "h2"}))
    assert text == "it chose TLS 1.2; proxy.golang.org is known to speak TLS 1.3"


@pytest.mark.parametrize(("chosen", "told"), [("http/1.1", "http/1.1"), (None, "")])
def test_another_protocol_where_it_can_be_seen(chosen: str | None, told: str) -> None:
    """In TLS 1.3 only with keys: no protocol is then as good as one that is hidden."""
    texts = marks(connection(server={"alpn": chosen}))
    assert texts == ([f"it chose {told} (ALPN); proxy.golang.org is known to choose h2"] if told else [])
    texts = marks(connection(server={"alpn": chosen, "version": 0x303}))
    assert texts[1] == f"it chose {told or 'no protocol'} (ALPN); proxy.golang.org is known to choose h2"


def test_another_server_hello() -> None:
    openssl = connection("storage.googleapis.com", server={"extension_types": (43, 51)})
    (text,) = marks(openssl)
    assert text == "its ServerHello has the extensions 43, 51; that of storage.googleapis.com has 51, 43"


@pytest.mark.parametrize(("size", "told"), [(1423, True), (3208, True), (7_800, False), (0, False)])
def test_a_small_flight(size: int, *, told: bool) -> None:
    texts = marks(connection(tls={"server_flight_bytes": size}))
    assert [text.startswith(f"it sent {size:,} bytes of certificates") for text in texts] == [True] * told


@pytest.mark.parametrize(("ttl", "told"), [(64, True), (128, True), (63, False), (57, False)])
def test_the_next_machine_answers(ttl: int, *, told: bool) -> None:
    texts = marks(connection(syn_ack_ttl=ttl))
    assert [f"with TTL {ttl}" in text for text in texts] == [True] * told
    assert marks(connection(syn_ack_ttl=ttl), public=False) == []


def test_a_near_end_that_asks_somebody_else_first() -> None:
    flow = connection()
    assert flow.tls
    slow = replace(flow, tls=replace(flow.tls, server_ns=flow.tls.hello_ns + 46 * MS))
    (text,) = marks(slow)
    assert text.startswith("the SYN-ACK took 1.00 ms, the answer to the ClientHello 46.0 ms")


def test_a_forward_proxy_is_near_anyway() -> None:
    flow = Net().through_proxy(tls=True, syn_ack_ttl=64)
    assert flow.tls
    assert marks(replace(flow, tls=replace(flow.tls, server_flight_bytes=LONG))) == []


@pytest.mark.parametrize(
    ("via", "told"), [("1.1 gw (squid/5.7)", True), ("1.1 google", False), ("1.1 varnish", False), (None, False)]
)
def test_headers_of_proxies(via: str | None, *, told: bool) -> None:
    answer = exchange(f"https://{MIRROR}/x/@v/list", decrypted=True, via=via)
    texts = marks(replace(connection(), exchanges=(answer,)))
    assert texts == ([f"an answer has the header “Via: {via}” of a proxy"] if told else [])


def test_only_connections_that_ended_there_count() -> None:
    """Of a host that is intercepted on one way and not on the other."""
    honest, other = (certificate(issuer=f"CN={name}", sha256=name) for name in ("Root", "mitmproxy"))
    odd = connection(chain=(honest,), server={"version": 0x303, "alpn": "http/1.1"})
    seen = judged(odd, visibility=Visibility.SEEN, chain=(other,))
    assert with_behaviour([seen], [odd]) == (seen,)
    assert with_behaviour([judged(odd)], [odd])[0].interceptor_marks == ()  # the probe showed what was hidden


@pytest.mark.parametrize("before", list(Confidence))
def test_they_raise_doubt_only(before: Confidence) -> None:
    odd = connection(tls={"server_flight_bytes": 1_423})
    (after,) = with_behaviour([judged(odd, interceptor_confidence=before)], [odd])
    expected = Confidence.HIGH if before is Confidence.MEDIUM else before
    assert after.interceptor_confidence is expected


HONEST = {
    "a content network, near": (NAME, chain(leaf(), intermediate())),
    "a private mirror with a private authority": ("goproxy.corp.example", chain(leaf(dns=["goproxy.corp.example"]))),
    "a certificate of six days": (NAME, chain(leaf(days=(-1, 5)), intermediate())),
    "a test server of go's": ("127.0.0.1", chain(root())),
}


@pytest.mark.parametrize(("name", "sent"), HONEST.values(), ids=HONEST)
def test_honest_hosts_are_silent_however_they_behave(name: str, sent: Any) -> None:
    """Even with every supporting sign at once."""
    odd = connection(name, server={"version": 0x303}, syn_ack_ttl=64, chain=sent)
    (judgement,) = judge_all(
        [
            Sighting(
                name=name, flow=0, packet=5, file=0, chain=sent, at_ns=NOW_NS, visibility=Visibility.SEEN, public=False
            )
        ],
        store(),
    )
    assert with_behaviour([judgement], [odd]) == (judgement,)
    assert judgement.interceptor is None


def test_the_data_is_what_can_be_compared() -> None:
    for name, known in known_hosts().items():
        assert name.removeprefix("*.").isascii()
        assert known.version in ("", *map(version_name, (0x303, 0x304)))
        assert known.alpn in ("", "h2", "http/1.1")

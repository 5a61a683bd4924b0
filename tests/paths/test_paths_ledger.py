"""Rows as a whole: who handled a request and how sure that is; rows without go's account; several files."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paths.made import MIRROR, OTHER, PROXY, RESOLVER, Log, Net, certificate, exchange, ledger
from trace_go.gocmd.config import Config
from trace_go.model.evidence import Confidence, EvidenceKind, Visibility
from trace_go.model.flow import Flow, Outcome, Reset
from trace_go.model.ledger import Artifact, HandledBy, Request, Role, Stage

URL = "https://proxy.golang.org/example.com/a/@v/v1.0.0.mod"
CHAIN = (certificate(),)
UNTRUSTED = "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def shape(request: Request) -> tuple[str, str, str | None]:
    return request.handled_by.value, request.confidence.value, request.claims_to_be


def one(*arguments: Any, **changes: Any) -> Request:
    (request,) = ledger(*arguments, **changes)
    return request


def answered() -> Log:
    log = Log()
    log.get(URL, sent=[200])
    return log


def failed(message: str = UNTRUSTED) -> Log:
    log = Log()
    log.fail(URL, message)
    return log


# -- with go's account: who handled it, and how sure -------------------------------------------------------------------


def test_go_was_answered_and_nothing_shows_by_whom() -> None:
    """Go's word that a chain was fine does not tell whose chain it was."""
    net = Net()
    net.flow()
    assert shape(one(net, answered())) == ("mirror", "medium", None)


@pytest.mark.parametrize("probed", [False, True])
def test_a_trusted_chain_raises_confidence(probed: bool) -> None:
    net = Net()
    flow = net.flow(chain=() if probed else CHAIN)
    net.judge(None if probed else flow)
    assert shape(one(net, answered())) == ("mirror", "high", None)


@pytest.mark.parametrize(("probed", "confidence"), [(False, "certain"), (True, "high")])
def test_an_interceptor_wins_over_the_name_it_claims(probed: bool, confidence: str) -> None:
    net = Net()
    flow = net.flow(chain=() if probed else CHAIN)
    net.intercept(None if probed else flow)
    request = one(net, answered())
    assert shape(request) == ("mitm", confidence, "proxy.golang.org")
    assert [(hop.role, hop.visibility) for hop in request.hops] == [
        (Role.INTERCEPTOR, Visibility.PROBED if probed else Visibility.SEEN),
        (Role.MIRROR, Visibility.INFERRED),  # hearsay: the interceptor says so
    ]
    kinds = {piece.kind for piece in request.evidence if "mitmproxy" in piece.text}
    assert kinds == {EvidenceKind.PROBE if probed else EvidenceKind.PACKET}


def test_a_refused_interceptor_is_where_it_broke() -> None:
    net = Net()
    net.flow(outcome=Outcome.REJECTED_CERTIFICATE, chain=CHAIN)
    net.intercept(net.flows[0])
    request = one(net, failed())
    assert shape(request) == ("mitm", "certain", "proxy.golang.org")
    assert [(hop.role, hop.broken) for hop in request.hops] == [(Role.INTERCEPTOR, True), (Role.MIRROR, False)]


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (f"dial tcp {MIRROR}:443: connect: connection refused", Outcome.REFUSED),
        (f"dial tcp {MIRROR}:443: i/o timeout", Outcome.NO_ANSWER),
        ("net/http: TLS handshake timeout", Outcome.SILENT),
    ],
)
def test_a_probed_interceptor_did_not_answer_what_never_came_to_tls(message: str, outcome: Outcome) -> None:
    net = Net()
    net.flow(outcome=outcome)
    net.intercept(None)
    request = one(net, failed(message))
    assert request.handled_by is HandledBy.NONE


def test_no_interceptor_stands_in_the_way_of_what_broke_before_it() -> None:
    net = Net()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow(None, outcome=Outcome.REFUSED)
    net.intercept(None)
    request = one(net, failed(f"dial tcp {MIRROR}:443: connect: connection refused"))
    assert [(hop.role, hop.broken) for hop in request.hops] == [(Role.RESOLVER, False), (Role.MIRROR, True)]


def test_a_probe_of_port_443_says_nothing_of_plain_http() -> None:
    net, log = Net(), Log()
    url = "http://proxy.golang.org/example.com/a/@v/list"
    net.flow(port=80, exchanges=[exchange(url)])
    net.intercept(None)
    log.get(url)
    request = one(net, log, GOPROXY="http://proxy.golang.org")
    assert shape(request) == ("mirror", "medium", None)  # nothing authenticates who answered


def test_an_answer_without_a_flow_in_a_capture_is_doubtful() -> None:
    net = Net()
    net.flow("other.example")
    request = next(item for item in ledger(net, answered()) if item.url == URL)
    assert request.confidence is Confidence.LOW
    assert request.hops[-1].visibility is Visibility.INFERRED


def test_without_privilege_rows_rest_on_the_log() -> None:
    """No packet was captured: nothing is missing, but nothing was seen either."""
    net, log = Net(), Log()
    log.get(URL, sent=[200], remote=f"{MIRROR}:443")
    log.fail(URL, f"dial tcp {OTHER}:443: i/o timeout")
    log.fail(URL, "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: no such host")
    good, dead, lost = ledger(net, log)
    assert shape(good) == ("mirror", "medium", None)
    assert [(hop.role, hop.ip, hop.visibility) for hop in good.hops] == [(Role.MIRROR, MIRROR, Visibility.INFERRED)]
    assert [(hop.role, hop.ip, hop.broken) for hop in dead.hops] == [(Role.MIRROR, OTHER, True)]
    assert [(hop.role, hop.ip, hop.broken) for hop in lost.hops] == [
        (Role.RESOLVER, RESOLVER, True),
        (Role.MIRROR, None, False),
    ]
    for request in (good, dead, lost):
        assert {piece.kind for piece in request.evidence} == {EvidenceKind.LOG}


def test_a_resolver_whose_answer_was_not_used_is_inferred() -> None:
    """A hosts file, a cache or DoH gave the address."""
    net = Net()
    net.resolve("proxy.golang.org", OTHER)
    net.flow(ip=MIRROR)
    request = one(net, answered())
    assert [(hop.role, hop.visibility) for hop in request.hops] == [
        (Role.RESOLVER, Visibility.INFERRED),
        (Role.MIRROR, Visibility.SEEN),
    ]


def test_timings_are_those_of_the_flow_and_its_lookup() -> None:
    net = Net()
    net.resolve("proxy.golang.org", MIRROR, latency_s=0.5)
    net.resolve("proxy.golang.org", "2001:db8::1", latency_s=0.25)
    net.flow()
    times = one(net, answered()).timings
    assert (times.dns_s, times.connect_s, times.tls_s, times.tunnel_s) == (0.5, 0.001, 0.002, None)
    assert times.response_s == 0.004


# -- DNS failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rcode", "message", "kind"),
    [
        ("NXDOMAIN", "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: no such host", "nxdomain"),
        ("SERVFAIL", "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: server misbehaving", "dns-failure"),
        (None, "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: i/o timeout", "dns-timeout"),
    ],
)
def test_dns_failure_with_and_without_gos_account(rcode: str | None, message: str, kind: str) -> None:
    net = Net()
    net.resolve("proxy.golang.org", rcode=rcode)
    net.flow("sum.golang.org", OTHER, outcome=Outcome.IDLE)  # that the client runs go is known from elsewhere
    with_account = one(net, failed(message))
    alone = next(item for item in ledger(net) if item.failure)
    for request in (with_account, alone):
        assert request.failure
        assert (request.failure.kind, request.failure.stage) == (kind, Stage.DNS)
        assert [(hop.role, hop.broken) for hop in request.hops] == [(Role.RESOLVER, True), (Role.MIRROR, False)]
        assert request.handled_by is HandledBy.NONE
    packets = [piece.packet for piece in with_account.evidence if piece.packet]
    assert packets == ([1001] if rcode else [1000])
    assert [piece.packet for piece in alone.evidence] == ([1001] if rcode else [1000])


def test_search_domains_and_missing_aaaa_are_no_rows() -> None:
    net = Net()
    net.flow(outcome=Outcome.OK)
    net.resolve("proxy.golang.org.corp.example", rcode="NXDOMAIN")
    net.resolve("other.example", rcode="NOERROR")
    assert [request.failed for request in ledger(net)] == [False]


# -- rows without go's account -----------------------------------------------------------------------------------------


def test_a_connection_to_a_known_mirror_is_unknown_until_its_chain_is_seen() -> None:
    net = Net()
    flow = net.flow()
    request = one(net)
    assert shape(request) == ("unknown", "low", "proxy.golang.org")
    assert (request.artifact, request.url, request.visibility) == (
        Artifact.CONNECTION,
        None,
        Visibility.NOT_OBSERVABLE,
    )
    assert (request.bytes_up, request.bytes_down) == (flow.bytes_up, flow.bytes_down)
    seen = Net()
    seen.judge(seen.flow(chain=CHAIN))
    assert shape(one(seen)) == ("mirror", "high", None)


@pytest.mark.parametrize(
    ("name", "client", "config", "expected"),
    [
        ("goproxy.corp.example", "go 1.27", Config(), "unknown"),  # a private mirror or an origin: nothing tells
        ("goproxy.corp.example", "go 1.27", Config(mirrors=("goproxy.corp.example",)), "mirror"),
        ("git.corp.example", "git (libcurl with GnuTLS)", Config(), "direct"),
        ("github.com", "go 1.27", Config(), "direct"),
        ("sum.golang.org", "go 1.27", Config(), "checksum-db"),
        ("proxy.corp.example", "go 1.27", Config(forward_proxies=("proxy.corp.example",)), "unknown"),
    ],
)
def test_the_purpose_of_a_connection(name: str, client: str, config: Config, expected: str) -> None:
    net = Net()
    net.judge(net.flow(name, client=client, chain=CHAIN), name)
    request = one(net, config=config)
    assert request.handled_by.value == expected
    known = expected != "unknown" or bool(config.forward_proxies)
    assert request.hops[-1].visibility is (Visibility.SEEN if known else Visibility.INFERRED)


def test_intercepted_connection() -> None:
    net = Net()
    net.intercept(net.flow(chain=CHAIN))
    assert shape(one(net)) == ("mitm", "certain", "proxy.golang.org")


def test_extra_connections_make_no_rows() -> None:
    net = Net()
    net.flow(outcome=Outcome.IDLE)
    net.flow()
    net.flow(outcome=Outcome.IDLE)
    assert len(ledger(net)) == 1
    assert ledger(net)[0].hops[-1].flow == 1


def test_an_idle_connection_alone_was_answered_by_nobody_known() -> None:
    net = Net()
    net.flow(outcome=Outcome.IDLE)
    assert shape(one(net)) == ("unknown", "low", "proxy.golang.org")


FAILURES: list[tuple[Outcome, dict[str, Any], str, str]] = [
    (Outcome.NO_ANSWER, {}, "connect-timeout", "connect"),
    (Outcome.REFUSED, {}, "refused", "connect"),
    (Outcome.UNREACHABLE, {"icmp": "host unreachable"}, "unreachable", "connect"),
    (Outcome.SILENT, {}, "handshake-timeout", "tls"),
    (Outcome.CLOSED_IN_HANDSHAKE, {}, "closed-in-handshake", "tls"),
    (Outcome.REJECTED_CERTIFICATE, {}, "certificate-rejected", "tls"),
    (Outcome.REFUSED_HANDSHAKE, {}, "tls-alert", "tls"),
    (Outcome.NOT_TLS, {}, "not-tls", "tls"),
    (Outcome.RESET, {}, "reset", "response"),
]


@pytest.mark.parametrize(("outcome", "changes", "kind", "stage"), FAILURES)
def test_failed_connections(outcome: Outcome, changes: dict[str, Any], kind: str, stage: str) -> None:
    net = Net()
    net.resolve("proxy.golang.org", MIRROR)
    name = "proxy.golang.org" if outcome not in (Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.UNREACHABLE) else None
    net.flow(name, outcome=outcome, **changes)
    request = one(net)
    assert request.failure
    assert (request.failure.kind, request.failure.stage.value) == (kind, stage)
    assert request.handled_by is HandledBy.NONE
    assert request.claims_to_be is None
    assert [hop.role for hop in request.hops if hop.broken] == [Role.MIRROR]


def test_refused_tunnels_and_a_dead_proxy() -> None:
    net = Net()
    net.through_proxy(status=407)
    net.resolve("proxy.corp.example", PROXY)
    (refused,) = ledger(net)
    assert [hop.role for hop in refused.hops if hop.broken] == [Role.FORWARD_PROXY]
    assert [(hop.role, hop.host) for hop in refused.hops][-1] == (Role.MIRROR, "proxy.golang.org")


def test_clear_requests_are_rows_of_their_own() -> None:
    net = Net()
    base = "http://mirror.example/example.com/a/@v"
    net.flow(
        "mirror.example",
        port=80,
        exchanges=[exchange(f"{base}/list", 404), exchange(f"{base}/v1.0.0.mod"), exchange(f"{base}/v1.0.0.zip", None)],
        outcome=Outcome.SILENT,
    )
    searched, fine, silent = ledger(net)
    assert (searched.status, searched.failed) == (404, False)
    assert (fine.artifact, fine.module, fine.version) == (Artifact.MOD, "example.com/a", "v1.0.0")
    assert shape(fine) == ("mirror", "medium", None)
    assert silent.failure
    assert silent.failure.kind == "response-timeout"
    assert silent.handled_by is HandledBy.NONE


def test_other_programs_clear_requests_are_not_gos() -> None:
    net = Net()
    net.flow(
        "mirror.example", port=80, exchanges=[exchange("http://mirror.example/m.example/@v/list", user_agent="curl/8")]
    )
    assert ledger(net) == ()


def test_connections_that_the_account_explains_are_no_rows() -> None:
    net = Net()
    net.flow()
    net.flow(outcome=Outcome.IDLE)
    net.flow(outcome=Outcome.RESET, reset=Reset(packet=9, time_ns=9, from_client=False, ttl=3))
    assert [request.url for request in ledger(net, answered())] == [URL]


def test_a_failed_connection_that_the_account_does_not_explain_is_a_row() -> None:
    net = Net()
    net.flow()
    net.flow("sum.golang.org", OTHER, outcome=Outcome.REJECTED_CERTIFICATE)
    first, second = ledger(net, answered())
    assert first.url == URL
    assert (second.url, second.hops[-1].host, second.failed) == (None, "sum.golang.org", True)


def test_only_the_http2_log_makes_rows_without_x_lines() -> None:
    net, log = Net(), Log()
    net.flow()
    log.http2(URL, 200)
    log.http2("https://proxy.golang.org/not/gos", 200)
    request = one(net, log)
    assert (request.url, request.status, request.handled_by) == (URL, 200, HandledBy.MIRROR)


# -- several files -----------------------------------------------------------------------------------------------------


def test_flows_and_evidence_keep_their_file() -> None:
    net = Net()
    net.flow()
    net.flow("sum.golang.org", OTHER, file=1, first_packet=1)
    net.resolve("goproxy.cn", rcode="NXDOMAIN", file=2)
    requests = ledger(net)
    assert [(request.hops[-1].flow, request.evidence[0].file) for request in requests] == [(0, 0), (1, 1), (None, 2)]
    assert [request.id for request in requests] == [0, 1, 2]


def test_rows_of_several_files_are_in_order_of_time() -> None:
    net = Net()
    late = net.flow(start_ns=2_000_000_000_000_000_000)
    net.flow("sum.golang.org", OTHER, file=1)
    assert [request.hops[-1].flow for request in ledger(net)] == [1, late.id]


# -- every row ---------------------------------------------------------------------------------------------------------

MESSAGES = [
    None,
    UNTRUSTED,
    f"dial tcp {MIRROR}:443: connect: connection refused",
    "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: no such host",
    "net/http: TLS handshake timeout",
    "EOF",
    "Forbidden",
    "proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused",
    "nobody knows this one",
]
Step = Callable[[Net, Log], object]


def _flow(outcome: Outcome, name: str | None, tunnel: bool) -> Step:
    def step(net: Net, log: Log) -> Flow:
        if tunnel and name:
            return net.through_proxy(name, status=200 if outcome is Outcome.OK else 403)
        return net.flow(name, outcome=outcome, chain=CHAIN if outcome is Outcome.OK else ())

    return step


def _get(url: str, message: str | None, status: int, sent: int) -> Step:
    def step(net: Net, log: Log) -> None:
        if message:
            log.fail(url, message)
        else:
            log.get(url, status, sent=[status] * sent)

    return step


STEPS = st.one_of(
    st.builds(
        _flow, st.sampled_from(Outcome), st.sampled_from(["proxy.golang.org", "git.example", None]), st.booleans()
    ),
    st.builds(
        _get,
        st.sampled_from(
            [URL, "https://git.example/?go-get=1", "http://mirror.example/a.example/@v/list", "https://[::1", ""]
        ),
        st.sampled_from(MESSAGES),
        st.sampled_from([200, 302, 404, 403, 500]),
        st.integers(0, 3),
    ),
    st.builds(
        lambda remote: lambda net, log: log.git(remote), st.sampled_from(["https://git.example/a.git", "git@[x:y"])
    ),
    st.builds(
        lambda name, code: lambda net, log: net.resolve(name, *([MIRROR] if code == "NOERROR" else []), rcode=code),
        st.sampled_from(["proxy.golang.org", "git.example"]),
        st.sampled_from(["NOERROR", "NXDOMAIN", None]),
    ),
    st.just(lambda net, log: net.intercept(None)),
)


@given(st.lists(STEPS, max_size=12), st.booleans(), st.booleans())
def test_every_row_has_evidence_and_claims_no_more_than_it_has(steps: list[Step], account: bool, proxy: bool) -> None:
    net, log = Net(), Log()
    for step in steps:
        step(net, log)
    env = {"HTTPS_PROXY": "http://192.0.2.1:3128"} if proxy else None
    requests = ledger(net, log if account else None, env=env)
    assert [request.id for request in requests] == list(range(len(requests)))
    for request in requests:
        assert request.evidence
        assert request.hops
        assert sum(hop.broken for hop in request.hops) == (1 if request.failure else 0)
        assert request.target
        for piece in request.evidence:
            assert (piece.kind is EvidenceKind.PACKET) == bool(piece.packet)
            assert (piece.kind is EvidenceKind.LOG) == bool(piece.line)
        for hop in request.hops:
            assert hop.flow is None or hop.flow < len(net.flows)
            if hop.flow is None and hop.role not in (Role.RESOLVER, Role.INTERCEPTOR):
                assert hop.visibility is Visibility.INFERRED
        if request.handled_by is HandledBy.NONE:
            assert request.failure
        if request.handled_by in (HandledBy.MITM, HandledBy.UNKNOWN):
            assert request.claims_to_be is not None
        else:
            assert request.claims_to_be is None
        if request.handled_by is HandledBy.MITM:
            assert any(hop.role is Role.INTERCEPTOR for hop in request.hops)


def test_every_combination_of_role_and_answer_has_a_handler() -> None:
    """No role may fall through to a claim that nothing supports."""
    for role, artifact in product(("mirrors", "sumdbs", "forward_proxies"), ("@v/list", "")):
        net, log = Net(), Log()
        net.flow("host.example")
        log.get(f"https://host.example/a.example/{artifact}", sent=[200])
        (request,) = ledger(net, log, config=Config(**{role: ("host.example",)}))
        expected = {"mirrors": "mirror", "sumdbs": "checksum-db", "forward_proxies": "unknown"}[role]
        assert request.handled_by.value == expected

import pytest

from paths.made import CLIENT, MIRROR, MS, OTHER, PROXY, START, Net, certificate, exchange
from trace_go.gocmd.config import Config
from trace_go.model.flow import Endpoint, Outcome
from trace_go.paths.index import Index, is_extra, made_by, of_go_world

PLAIN = {"tls": False}


def names(index: Index, name: str) -> list[int]:
    return [flow.id for flow in index.by_name.get(name, ())]


def test_a_flow_is_named_by_itself_before_dns() -> None:
    net = Net()
    net.resolve("other.example", MIRROR)
    flow = net.flow("Proxy.Golang.Org.")
    index = net.index()
    assert index.name(flow) == "proxy.golang.org"
    assert names(index, "proxy.golang.org") == [flow.id]
    assert names(index, "other.example") == []


def test_a_silent_flow_is_named_by_the_dns_answer_before_it() -> None:
    net = Net()
    early = net.flow(None, outcome=Outcome.REFUSED)
    net.resolve("corp.example", MIRROR)
    late = net.flow(None, outcome=Outcome.REFUSED)
    index = net.index()
    assert index.name(early) is None
    assert index.name(late) == "corp.example"


def test_of_two_names_on_one_address_the_latest_counts_but_known_hosts_first() -> None:
    net = Net()
    net.resolve("a.example", MIRROR)
    net.resolve("b.example", MIRROR)
    latest = net.flow(None, outcome=Outcome.REFUSED)
    net.resolve("proxy.golang.org", MIRROR)
    net.resolve("c.example", MIRROR)
    known = net.flow(None, outcome=Outcome.REFUSED)
    index = net.index()
    assert index.name(latest) == "b.example"
    assert index.name(known) == "proxy.golang.org"
    assert names(index, "a.example") == [latest.id, known.id]  # it may be for any of them


def test_names_come_from_the_same_client_where_it_asked() -> None:
    net = Net()
    net.resolve("mine.example", MIRROR)
    net.resolve("neighbours.example", MIRROR, client="192.0.2.99")
    flow = net.flow(None, outcome=Outcome.REFUSED)
    assert net.index().name(flow) == "mine.example"


def test_ipv6_flow_is_named_by_a_lookup_over_ipv4() -> None:
    net = Net()
    net.resolve("v6.example", "2001:db8::1")
    flow = net.flow(None, "2001:db8::1", outcome=Outcome.NO_ANSWER, source="2001:db8::2")
    assert net.index().name(flow) == "v6.example"


def test_one_connection_to_a_proxy_stands_under_every_host_it_was_used_for() -> None:
    net = Net()
    urls = ["http://a.example/m/@v/list", "http://b.example:8080/m/@v/list"]
    flow = net.flow(None, PROXY, 3128, exchanges=[exchange(url, proxied=True) for url in urls])
    index = net.index()
    assert names(index, "a.example") == names(index, "b.example") == [flow.id]


def test_dns_and_udp_flows_are_no_candidates() -> None:
    net = Net()
    net.flow(None, "198.51.100.53", 53, protocol="dns", **PLAIN)
    net.flow("proxy.golang.org", transport="udp")
    index = net.index()
    assert not index.by_name
    assert not index.by_server


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["203.0.113.10"], 0),
        (["203.0.113.10", "203.0.113.11"], 0),  # the one that gave the flow's address
        ([None, "203.0.113.11"], 1),  # else an answered one
        ([None], 0),  # else any
        ([], None),
    ],
)
def test_the_lookup_that_a_connection_rests_on(answers: list[str | None], expected: int | None) -> None:
    net = Net()
    made = [
        net.resolve("h.example", *([answer] if answer else []), rcode="NOERROR" if answer else "SERVFAIL")
        for answer in answers
    ]
    flow = net.flow("h.example", MIRROR)
    net.resolve("h.example", MIRROR)  # too late
    found = net.index().lookup("h.example", flow)
    assert found == (None if expected is None else made[expected])


def test_forward_proxy_by_name_and_by_address() -> None:
    net = Net()
    net.resolve("proxy.corp.example", PROXY)
    flow = net.flow(None, PROXY, 3128, outcome=Outcome.REFUSED)
    net.flow(None, PROXY, 8080, outcome=Outcome.REFUSED)
    index = net.index()
    assert index.to_proxy("http://proxy.corp.example:3128") == [flow]
    assert index.to_proxy("http://user:xxxxx@192.0.2.1:3128") == [flow]
    assert index.to_proxy("http://unknown.example:3128") == []


def test_judgement_of_the_flow_beats_the_probe_and_is_of_its_time() -> None:
    net, chain = Net(), (certificate(),)
    probed = net.judge(None)
    young, old = net.flow(chain=chain), net.flow(chain=chain)
    first = net.judge(young, at_ns=young.tls.server_ns if young.tls else 0)
    second = net.judge(old, trusted=False, at_ns=old.tls.server_ns if old.tls else 0)
    hidden, refused, clear = net.flow(), net.flow(outcome=Outcome.REFUSED), net.flow(port=80, **PLAIN)
    index = net.index()
    assert index.judgement(young, "proxy.golang.org") is first
    assert index.judgement(old, "proxy.golang.org") is second
    assert index.judgement(hidden, "proxy.golang.org") is probed
    assert index.judgement(None, "proxy.golang.org") is probed
    assert index.judgement(refused, "proxy.golang.org") is None  # it never came to a chain
    assert index.judgement(clear, "proxy.golang.org") is None
    assert index.judgement(young, "other.example") is None  # TLS to an https forward proxy
    assert index.judgement(hidden, None) is None


def test_judgement_of_a_flow_without_a_name() -> None:
    net = Net()
    net.resolve("mirror.example", MIRROR)
    flow = net.flow(None, chain=(certificate(),))
    judged = net.judge(flow, MIRROR)
    assert net.index().judgement(flow, "mirror.example") is judged


@pytest.mark.parametrize(
    ("client", "agent", "process", "expected"),
    [
        ("go 1.27", None, None, "go"),
        ("git (libcurl with GnuTLS)", None, None, "git"),
        ("", "GoCommand/1 (+https://go.dev/cmd/go)", None, "go"),
        ("", "Go-http-client/1.1", None, "go"),
        ("", "git/2.39.5", None, "git"),
        ("", None, "go (12)", "go"),
        ("", None, "git-remote-https (12)", "git"),
        ("", None, "gopls (12)", None),
        ("curl", None, "curl (12)", None),
        ("", "curl/8", None, None),
        ("", None, None, None),
    ],
)
def test_who_made_a_flow(client: str, agent: str | None, process: str | None, expected: str | None) -> None:
    net = Net()
    exchanges = [exchange("http://h.example/", user_agent=agent)] if agent else []
    flow = net.flow("h.example", client=client, exchanges=exchanges, process=process)
    assert made_by(flow) == expected


def test_go_world_is_go_or_a_known_mirror_whoever_asks() -> None:
    net = Net()
    hosts = net.index(Config(mirrors=("goproxy.corp.example",))).hosts
    assert of_go_world(net.flow("goproxy.corp.example", client=""), hosts)
    assert of_go_world(net.flow("x.example"), hosts)
    assert not of_go_world(net.flow("x.example", client=""), hosts)
    assert not of_go_world(net.flow("github.com", client=""), hosts)


def test_extra_connections_are_idle_ones() -> None:
    net = Net()
    assert is_extra(net.flow(outcome=Outcome.IDLE))
    assert not is_extra(net.flow(outcome=Outcome.OPEN))


def test_addresses_and_times_of_the_maker() -> None:
    """The helper itself: what the other tests rest on."""
    net = Net()
    net.resolve("a.example", OTHER)
    flow = net.flow("a.example", OTHER)
    assert flow.client == Endpoint(ip=CLIENT, port=40_000)
    assert flow.start_ns == START + MS

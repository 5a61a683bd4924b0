"""Which flow a request is given: a table of what else was there."""

import pytest

from paths.made import CLIENT, MIRROR, OTHER, PROXY, Log, Net, exchange, ledger
from trace_go.model.flow import Outcome
from trace_go.model.ledger import HandledBy, Request, Role

URL = "https://proxy.golang.org/example.com/a/@v/v1.0.0.mod"
URLS = [f"https://proxy.golang.org/example.com/m{number}/@v/v1.0.0.mod" for number in range(6)]
PROXIES = {"HTTPS_PROXY": "http://proxy.corp.example:3128"}


def flow_of(request: Request) -> int | None:
    """Flow of the hop that the request was addressed to."""
    assert request.target
    return request.target.flow


def certain(request: Request) -> bool:
    return not any(piece.kind == "inference" for piece in request.evidence)


def log_of(*urls: str) -> Log:
    log = Log()
    for url in urls:
        log.get(url, sent=[200])
    return log


def test_idle_extra_connections_are_never_chosen() -> None:
    net = Net()
    net.flow(outcome=Outcome.IDLE, bytes_down=9_000)
    used = net.flow(bytes_down=500)
    net.flow(outcome=Outcome.IDLE)
    requests = ledger(net, log_of(*URLS))
    assert [flow_of(request) for request in requests] == [used.id] * 6
    assert all(map(certain, requests))


def test_only_idle_connections_carry_nothing() -> None:
    net = Net()
    net.flow(outcome=Outcome.IDLE)
    (request,) = ledger(net, log_of(URL))
    assert flow_of(request) is None
    assert request.confidence == "low"


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.REJECTED_CERTIFICATE, Outcome.NOT_TLS])
def test_each_failed_connection_is_used_once(outcome: Outcome) -> None:
    messages = {
        Outcome.REFUSED: f"dial tcp {MIRROR}:443: connect: connection refused",
        Outcome.REJECTED_CERTIFICATE: "tls: failed to verify certificate: x509: certificate is not valid for any names",
        Outcome.NOT_TLS: "http: server gave HTTP response to HTTPS client",
    }
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", MIRROR)
    name = None if outcome is Outcome.REFUSED else "proxy.golang.org"
    flows = [net.flow(name, outcome=outcome) for _ in range(3)]
    net.flow(outcome=Outcome.IDLE)
    for url in URLS[:4]:
        log.fail(url, messages[outcome])
    requests = ledger(net, log)
    assert [flow_of(request) for request in requests] == [*(flow.id for flow in flows), None]
    assert {request.handled_by for request in requests} == {HandledBy.NONE}


def test_a_message_with_both_addresses_names_its_flow() -> None:
    net, log = Net(), Log()
    flows = [net.flow(outcome=Outcome.RESET) for _ in range(3)]
    port = flows[1].client.port
    log.fail(URL, f"read tcp {CLIENT}:{port}->{MIRROR}:443: read: connection reset by peer")
    (request,) = ledger(net, log)
    assert flow_of(request) == flows[1].id


def test_a_message_with_an_address_is_about_no_other_address() -> None:
    """Happy Eyeballs: no packet leaves for an address without a route, and the refused one is not it."""
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow(None, outcome=Outcome.REFUSED)
    log.fail(URL, "dial tcp [2001:db8::1]:443: connect: network is unreachable")
    (request,) = ledger(net, log)
    assert flow_of(request) is None
    assert request.target
    assert request.target.ip == "2001:db8::1"


def test_http1_mirror_with_many_connections_says_that_it_cannot_tell() -> None:
    net = Net()
    flows = [net.flow(bytes_down=size) for size in (700, 900, 800)]
    log = Log()
    log.get(URL)  # no HTTP/2 line: HTTP/1.1
    (request,) = ledger(net, log)
    assert flow_of(request) == flows[1].id
    assert any("3 connections" in piece.text for piece in request.evidence if piece.kind == "inference")


def test_clear_http_names_its_flow_exactly() -> None:
    net = Net()
    url = "http://mirror.example/example.com/a/@v/v1.0.0.mod"
    other = url.replace("/a/", "/b/")
    net.flow("mirror.example", port=80, exchanges=[exchange(other)], bytes_down=90_000)
    flow = net.flow("mirror.example", port=80, exchanges=[exchange(other), exchange(url, request_packet=70)])
    log = Log()
    log.get(url)
    (request, *rest) = ledger(net, log, GOPROXY="http://mirror.example")
    assert flow_of(request) == flow.id
    assert request.bytes_down == 12
    assert any(piece.packet == 5 and "GET http" in piece.text for piece in request.evidence)
    assert {item.url for item in rest} == {other}  # what the log does not hold


def test_ipv6_and_ipv4_of_one_host_are_told_apart_by_the_http2_log() -> None:
    net = Net()
    net.flow(ip=MIRROR, bytes_down=90_000)
    six = net.flow(ip="2001:db8::1", source="2001:db8::2")
    log = Log()
    log.get(URL, sent=[200], remote="[2001:db8::1]:443")
    (request,) = ledger(net, log)
    assert flow_of(request) == six.id
    assert certain(request)


@pytest.mark.parametrize(
    "url", ["https://[2001:db8::1]:8443/m.example/@v/list", "https://203.0.113.10:8443/m.example/@v/list"]
)
def test_a_mirror_by_address(url: str) -> None:
    net = Net()
    ip = "2001:db8::1" if "[" in url else MIRROR
    net.flow(None, ip, 443)
    flow = net.flow(None, ip, 8443)
    (request,) = ledger(net, log_of(url))
    assert flow_of(request) == flow.id
    assert [hop.role for hop in request.hops] == [Role.MIRROR]  # a literal address asks no resolver


def test_two_hosts_on_one_address() -> None:
    net, log = Net(), Log()
    urls = ["https://proxy.golang.org/m.example/@v/list", "https://goproxy.cn/m.example/@v/list"]
    net.resolve("proxy.golang.org", MIRROR)
    net.resolve("goproxy.cn", MIRROR)
    flows = [net.flow("goproxy.cn", MIRROR), net.flow("proxy.golang.org", MIRROR)]
    for url in urls:
        log.get(url, sent=[200])
    first, second = ledger(net, log)
    assert (flow_of(first), flow_of(second)) == (flows[1].id, flows[0].id)


def test_two_refusing_hosts_on_one_address() -> None:
    net, log = Net(), Log()
    hosts = ["proxy.golang.org", "goproxy.cn"]
    for host in hosts:
        net.resolve(host, MIRROR)
    flows = [net.flow(None, MIRROR, outcome=Outcome.REFUSED) for _ in hosts]
    for host in hosts:
        log.fail(f"https://{host}/m.example/@v/list", f"dial tcp {MIRROR}:443: connect: connection refused")
    assert [flow_of(request) for request in ledger(net, log)] == [flow.id for flow in flows]


@pytest.mark.parametrize("port", [443, 8443])
def test_the_port_of_the_url_counts(port: int) -> None:
    net = Net()
    flows = {each: net.flow("mirror.example", port=each) for each in (443, 8443)}
    suffix = "" if port == 443 else f":{port}"
    (request,) = ledger(net, log_of(f"https://mirror.example{suffix}/m.example/@v/list"))
    assert flow_of(request) == flows[port].id


def test_another_programs_connection_to_the_same_host_is_not_gos() -> None:
    net = Net()
    net.flow(client="", process="firefox (7)", bytes_down=1_000_000)
    ours = net.flow(bytes_down=100)
    net.flow(client="git (libcurl with GnuTLS)", bytes_down=2_000_000)
    (request,) = ledger(net, log_of(URL))
    assert flow_of(request) == ours.id
    assert certain(request)


def test_a_connection_that_broke_later_carried_what_was_answered() -> None:
    net, log = Net(), Log()
    flow = net.flow(outcome=Outcome.RESET)
    log.get(URLS[0], sent=[200])
    log.fail(URLS[1], "read: connection reset by peer")
    log.fail(URLS[2], "read: connection reset by peer")
    requests = ledger(net, log)
    assert [flow_of(request) for request in requests] == [flow.id] * 3  # HTTP/2: one connection for all


@pytest.mark.parametrize("message", ["stream error: stream ID 7; INTERNAL_ERROR", "unexpected EOF"])
def test_a_failed_stream_stands_on_the_connection_that_works(message: str) -> None:
    net, log = Net(), Log()
    flow = net.flow()
    net.flow(outcome=Outcome.IDLE)
    log.fail(URL, message)
    (request,) = ledger(net, log)
    assert flow_of(request) == flow.id


@pytest.mark.parametrize(
    "message",
    [
        "dial tcp: lookup proxy.golang.org on 198.51.100.53:53: no such host",
        "refusing to pass credentials to insecure URL: http://proxy.golang.org/",
        "something that no table knows",
    ],
)
def test_what_had_no_connection_gets_none(message: str) -> None:
    net, log = Net(), Log()
    net.flow()
    log.fail(URL, message)
    assert flow_of(ledger(net, log)[0]) is None


# -- forward proxies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", ["http://proxy.corp.example:3128", f"http://{PROXY}:3128", f"{PROXY}:3128"])
def test_tunnel_by_name_and_by_address(proxy: str) -> None:
    net = Net()
    net.resolve("proxy.corp.example", PROXY)
    flow = net.through_proxy()
    (request,) = ledger(net, log_of(URL), env={"HTTPS_PROXY": proxy})
    assert flow_of(request) == flow.id
    roles = [(hop.role.value, hop.ip) for hop in request.hops if hop.role is not Role.RESOLVER]
    assert roles == [("forward-proxy", PROXY), ("mirror", None)]  # the mirror's address is the proxy's business
    assert request.handled_by is HandledBy.MIRROR
    assert request.timings.tunnel_s == pytest.approx(0.001)


def test_proxy_unreachable() -> None:
    net, log = Net(), Log()
    net.resolve("proxy.corp.example", PROXY)
    flow = net.flow(None, PROXY, 3128, outcome=Outcome.REFUSED)
    log.fail(URL, f"proxyconnect tcp: dial tcp {PROXY}:3128: connect: connection refused")
    (request,) = ledger(net, log, env=PROXIES)
    broken = [hop for hop in request.hops if hop.broken]
    assert [(hop.role, hop.host, hop.ip, hop.flow) for hop in broken] == [
        (Role.FORWARD_PROXY, "proxy.corp.example", PROXY, flow.id)
    ]


def test_refused_tunnels_are_used_once_each_and_the_proxy_is_the_broken_place() -> None:
    net, log = Net(), Log()
    net.resolve("proxy.corp.example", PROXY)
    flows = [net.through_proxy(status=403) for _ in range(2)]
    for url in URLS[:2]:
        log.fail(url, "Forbidden")
    requests = ledger(net, log, env=PROXIES)
    broken = [[(hop.role, hop.flow) for hop in request.hops if hop.broken] for request in requests]
    assert broken == [[(Role.FORWARD_PROXY, flow.id)] for flow in flows]


def test_packets_decide_whether_a_proxy_was_used() -> None:
    """git has its own rules for proxies; HTTPS_PROXY alone does not make a hop."""
    net, log = Net(), Log()
    net.flow("git.example", OTHER, client="git (libcurl with GnuTLS)")
    log.git("https://git.example/r.git")
    (request,) = ledger(net, log, env=PROXIES)
    assert [hop.role for hop in request.hops] == [Role.ORIGIN]


def test_tls_to_the_proxy_hides_the_tunnel_but_not_the_proxy() -> None:
    net = Net()
    net.resolve("proxy.corp.example", PROXY)
    flow = net.flow("proxy.corp.example", PROXY, 443)
    (request,) = ledger(net, log_of(URL), env={"HTTPS_PROXY": "https://proxy.corp.example"})
    assert [(hop.role, hop.flow) for hop in request.hops[1:]] == [(Role.FORWARD_PROXY, flow.id), (Role.MIRROR, flow.id)]
    assert request.timings.tls_s is None  # that of the proxy is not the mirror's


def test_plain_http_through_a_proxy_does_not_carry_https() -> None:
    net = Net()
    net.flow(None, PROXY, 3128, exchanges=[exchange("http://proxy.golang.org/x/@v/list", proxied=True)])
    (request, *_) = ledger(net, log_of(URL), env=PROXIES)
    assert request.url == URL
    assert flow_of(request) is None


# -- git ---------------------------------------------------------------------------------------------------------------


def git_flows(net: Net, pids: list[int] | None = None, count: int = 4) -> list[int]:
    return [
        net.flow(
            "git.example",
            OTHER,
            client="git (libcurl with GnuTLS)",
            process=f"git-remote-https ({pids[number]})" if pids else None,
        ).id
        for number in range(count)
    ]


def git_log(*names: str) -> Log:
    log = Log()
    for name in names:
        log.git(f"https://git.example/{name}.git")
    return log


def test_git_commands_get_gits_flows_in_order() -> None:
    net = Net()
    net.flow("git.example", OTHER, bytes_down=1_000_000)  # go's own ?go-get=1
    ids = git_flows(net)
    requests = ledger(net, git_log("a", "b", "c", "d"))
    assert [flow_of(request) for request in requests] == ids
    assert not any(map(certain, requests))  # two ran at a time, and nothing says which was which
    assert [request.module for request in requests] == [f"git.example/{name}" for name in "abcd"]


def test_git_processes_are_in_order_of_their_ids() -> None:
    net = Net()
    ids = git_flows(net, [104, 103, 132, 133])
    requests = ledger(net, git_log("a", "b", "c", "d"))
    assert [flow_of(request) for request in requests] == [ids[1], ids[0], ids[2], ids[3]]


def test_a_single_git_command_is_certain() -> None:
    net = Net()
    (number,) = git_flows(net, count=1)
    (request,) = ledger(net, git_log("a"))
    assert flow_of(request) == number
    assert certain(request)


def test_git_commands_without_a_flow_have_none() -> None:
    net = Net()
    ids = git_flows(net, count=1)
    requests = ledger(net, git_log("a", "b"))
    assert [flow_of(request) for request in requests] == [ids[0], None]


def test_git_over_ssh() -> None:
    net, log = Net(), Log()
    net.resolve("git.example", OTHER)
    flow = net.flow(None, OTHER, 22, tls=False, protocol="ssh", process="ssh (9)")
    log.git("git@git.example:team/lib.git")
    (request,) = ledger(net, log)
    assert flow_of(request) == flow.id
    assert request.module == "git.example/team/lib"
    assert request.handled_by is HandledBy.DIRECT

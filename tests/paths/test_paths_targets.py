"""The probe asks only hosts that the command contacted, and only where packets hide the chain."""

import pytest

from paths.made import OTHER, PROXY, Log, Net, certificate, exchange
from trace_go.model.flow import Outcome
from trace_go.model.go import GoAccount, GoLog
from trace_go.paths.targets import MAX_TARGETS, probe_targets

URL = "https://proxy.golang.org/example.com/a/@v/v1.0.0.mod"
UNTRUSTED = "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def targets(net: Net, log: Log | None = None, **environment: str) -> list[tuple[str, int, str | None]]:
    account = GoAccount(log=log.log if log else GoLog())
    return list(probe_targets(net.traffic, account, environment))


def answered(*urls: str) -> Log:
    log = Log()
    for url in urls or (URL,):
        log.get(url, sent=[200])
    return log


def test_a_hidden_chain_is_asked_for_once() -> None:
    net = Net()
    net.flow()
    net.flow()
    assert targets(net, answered()) == [("proxy.golang.org", 443, None)]


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.SILENT, Outcome.NOT_TLS])
def test_no_handshake_no_probe(outcome: Outcome) -> None:
    net = Net()
    net.flow("proxy.golang.org", outcome=outcome)
    log = Log()
    log.fail(URL, "whatever")
    assert targets(net, log) == []


def test_a_seen_chain_needs_none() -> None:
    net = Net()
    net.flow(chain=(certificate(),))
    assert targets(net, answered()) == []


def test_other_programs_and_other_peoples_go_are_left_alone() -> None:
    net = Net()
    net.flow("intranet.example", client="")
    net.flow("neighbour.example")  # go, but not of this command: its log does not name it
    net.flow("child.example", process="go (12)")
    net.flow("git.example", client="git (libcurl with GnuTLS)")
    log = answered()
    log.git("https://git.example/r.git")
    assert [host for host, _, _ in targets(net, log)] == ["child.example", "git.example", "proxy.golang.org"]


def test_without_a_log_go_is_told_by_its_fingerprint() -> None:
    net = Net()
    net.flow("mirror.example", OTHER)
    assert targets(net) == [("mirror.example", 443, None)]


def test_ports_and_tunnels() -> None:
    net = Net()
    net.flow("mirror.example", port=8443)
    net.through_proxy()
    found = targets(
        net, answered("https://mirror.example:8443/x.example/@v/list", URL), HTTPS_PROXY="http://u:p@192.0.2.1:3128"
    )
    proxy = f"http://u:p@{PROXY}:3128"
    assert found == [("mirror.example", 8443, proxy), ("proxy.golang.org", 443, proxy)]


def test_the_clients_no_proxy_holds_for_the_probe() -> None:
    net = Net()
    net.flow()
    assert targets(net, answered(), HTTPS_PROXY="http://192.0.2.1:3128", NO_PROXY="golang.org")[0][2] is None


def test_without_packets_the_log_tells_who_was_reached() -> None:
    log = answered(
        "http://clear.example/x.example/@v/list", "https://h:99999/", "https://up.example:8443/x.example/@v/list"
    )
    log.fail("https://dead.example/x.example/@v/list", "dial tcp 203.0.113.10:443: i/o timeout")
    log.say(f'go: x.example@v1.0.0: Get "https://bad.example/x.example/@v/list": {UNTRUSTED}')
    assert targets(Net(), log) == [("up.example", 8443, None), ("bad.example", 443, None)]


def test_redirect_targets_of_the_log_count_as_contacted() -> None:
    net, log = Net(), Log()
    net.flow("storage.googleapis.com", OTHER)
    log.get(URL, sent=[302], location="https://storage.googleapis.com/x")
    assert ("storage.googleapis.com", 443, None) in targets(net, log)


def test_clear_http_is_not_probed() -> None:
    net = Net()
    net.flow("mirror.example", port=80, exchanges=[exchange("http://mirror.example/x.example/@v/list")])
    assert targets(net) == []


def test_there_is_a_limit() -> None:
    net = Net()
    for number in range(MAX_TARGETS + 5):
        net.flow(f"h{number}.example")
    assert len(targets(net)) == MAX_TARGETS

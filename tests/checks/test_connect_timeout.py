"""connect-timeout: a black hole; a dead IPv6 address beside a good IPv4 one only costs time, and is told elsewhere."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "connect-timeout:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "proxy.golang.org does not answer connection attempts"
    assert "203.0.113.10:443" in found.detail
    assert all(frame.flags == "S" for frame in fires.frames(found))
    assert found.remedy.command == "curl -v --connect-timeout 5 https://proxy.golang.org/"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_dead_address_beside_a_good_one_is_another_finding(regression: Run) -> None:
    assert any(":" in flow.server.ip and not flow.bytes.down for flow in regression.whole.flows)
    assert checks_of(regression.whole) == checks_of(regression.packets) == {"ipv6-broken"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

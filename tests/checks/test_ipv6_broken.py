"""ipv6-broken: no SYN-ACK over IPv6, then IPv4; a dead IPv4 address is another matter."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "ipv6-broken:proxy.golang.org"
        assert found.severity == "warning"
        assert "2001:db8:3::113:10 never answered; after 0.3 s" in found.detail
        first, second = fires.frames(found)[:2]
        assert (first.flags, second.flags) == ("S", "SA")
    assert fires.whole.verdict.status == "degraded"
    assert checks_of(fires.packets) == {"ipv6-broken"}


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_refusing_ipv4_address(regression: Run) -> None:
    assert regression.found == []


def test_account_alone_shows_no_attempts(fires: Run) -> None:
    assert fires.account.findings == []

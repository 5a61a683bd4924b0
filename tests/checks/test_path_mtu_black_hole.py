"""path-mtu-black-hole: the ClientHello does not fit; where all packets are dropped, size is not to blame."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "path-mtu-black-hole:proxy.golang.org"
        assert (found.severity, found.confidence) == ("error", "high")
        assert found.title == "The path swallows large packets to proxy.golang.org"
        hello = fires.frames(found)[0]
        assert len(hello.payload) > 1400
        assert hello.payload[0] == 22  # a handshake record (RFC 8446 §5.1)
    assert fires.only.remedy.command == "ping -c 2 -M do -s 1372 proxy.golang.org"
    assert checks_of(fires.whole) == checks_of(fires.packets) == {"path-mtu-black-hole"}


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_everything_is_dropped(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"handshake-timeout"}
    assert "was not even acknowledged" in regression.whole.findings[0].detail


def test_account_alone(fires: Run) -> None:
    assert checks_of(fires.account) == {"response-timeout"}

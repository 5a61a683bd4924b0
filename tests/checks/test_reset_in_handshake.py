"""reset-in-handshake: RST and FIN in answer to a ClientHello."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "reset-in-handshake:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert found.title == "The TLS handshake with proxy.golang.org is reset"
    assert "right after the ClientHello" in found.detail
    assert "TTL" not in found.detail  # the server's own distance
    assert all("R" in frame.flags for frame in fires.frames(found))
    assert "-servername example.com" in (found.remedy.command or "")
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_closed_in_good_order(regression: Run) -> None:
    for found in (regression.only, regression.in_packets):
        assert found.title == "The TLS handshake with proxy.golang.org is closed"
        assert all(frame.payload.startswith(bytes.fromhex("16 0301")) for frame in regression.frames(found))


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_does_not_know_the_moment(fires: Run, regression: Run) -> None:
    assert fires.in_account.title == "The connection with proxy.golang.org is reset"
    assert regression.in_account.title == "The connection with proxy.golang.org is closed"
    for run in (fires, regression):
        assert run.in_account.confidence == "low"
        assert "No packet shows at which point" in run.in_account.detail

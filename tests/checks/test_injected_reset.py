"""injected-reset: on the ClientHello; the server's own reset is none."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "injected-reset:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert "right after the ClientHello, which names proxy.golang.org in clear" in found.detail
    assert "filters by server name" in found.detail
    forged, own = fires.frames(found)[:2]
    assert "R" in forged.flags
    assert "R" not in own.flags
    assert (forged.text[-2:], own.text[-2:]) == ("46", "62")
    assert fires.whole.verdict.causes == [found.key]
    assert checks_of(fires.whole) == {found.id}


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_servers_own_reset(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"reset-in-handshake"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_does_not_tell_who_reset(fires: Run) -> None:
    assert checks_of(fires.account) == {"reset-in-handshake"}

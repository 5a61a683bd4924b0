"""address-dead: 15 s lost; an address that refuses at once is a note."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "address-dead:proxy.golang.org"
        assert found.severity == "warning"
        assert found.title == "203.0.113.98, an address of proxy.golang.org, does not work"
        assert "15.0 s later" in found.detail
        first, second = fires.frames(found)[:2]
        assert (first.flags, second.flags) == ("S", "SA")
    assert checks_of(fires.whole) == checks_of(fires.packets) == {"address-dead"}
    assert fires.whole.verdict.status == "degraded"


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_an_address_that_refuses_at_once(regression: Run) -> None:
    assert regression.only.severity == regression.in_packets.severity == "note"
    assert checks_of(regression.packets) == {"address-dead"}
    assert regression.whole.verdict.status == "ok"


def test_account_alone_shows_no_attempts(fires: Run) -> None:
    assert "address-dead" not in checks_of(fires.account)

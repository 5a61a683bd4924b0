"""slow-stage: a slow resolver; time that a dead address cost is not the server's."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "slow-stage:proxy.golang.org:dns"
        assert found.severity == "warning"
        assert found.title == "The resolver took 2.0 s for proxy.golang.org"
        assert b"\x05proxy\x06golang\x03org\x00" in fires.frames(found)[0].payload
        assert found.remedy.command == "dig proxy.golang.org"
    assert fires.whole.verdict.status == "degraded"
    assert fires.whole.verdict.summary == "It worked, but the resolver took 2.0 s for proxy.golang.org."


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_time_that_a_dead_address_cost(regression: Run) -> None:
    assert checks_of(regression.whole) == {"address-dead"}
    assert checks_of(regression.account) == set()

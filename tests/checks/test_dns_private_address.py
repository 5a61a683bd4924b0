"""dns-private-address: of a public name; a mirror of one's own may have one."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "dns-private-address:proxy.golang.org"
        assert (found.severity, found.audience) == ("error", "security")
        assert found.title == "proxy.golang.org resolves to 192.168.7.7, which is no public address"
        assert found.evidence[0].text == "NOERROR for proxy.golang.org A from 198.51.100.53"
    assert fires.whole.verdict.causes[0] == fires.only.key
    assert checks_of(fires.whole) == {"dns-private-address", "connection-refused"}


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_mirror_of_ones_own(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"connection-refused"}


def test_account_alone(fires: Run) -> None:
    assert checks_of(fires.account) == {"connection-refused"}

"""address-not-resolved: a line of the hosts file; names that the forward proxy resolves are none."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "address-not-resolved:proxy.golang.org"
        assert (found.severity, found.audience) == ("note", "security")
        assert found.title == "proxy.golang.org was reached at 203.0.113.10, which DNS did not give"
        assert "the hosts file, a cache or encrypted DNS remain" in found.detail
        assert fires.frames(found)[0].flags == "S"
    assert checks_of(fires.whole) == {"address-not-resolved"}
    assert fires.whole.verdict.status == "ok"


def test_silent(silent: Run) -> None:
    assert silent.found == []


def test_the_forward_proxy_resolves(regression: Run) -> None:
    assert regression.whole.findings == regression.packets.findings == []


def test_account_alone_shows_no_address(fires: Run) -> None:
    assert fires.account.findings == []

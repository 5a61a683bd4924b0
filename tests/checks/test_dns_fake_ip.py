"""dns-fake-ip: a local proxy is a hop and no attack."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert (found.severity, found.audience) == ("note", "developer")
        assert "proxy.golang.org resolved to 198.18.0.10" in found.detail
        assert bytes([198, 18, 0, 10]) in fires.frames(found)[0].payload
    assert checks_of(fires.whole) == checks_of(fires.packets) == {"dns-fake-ip"}
    assert fires.whole.verdict.status == fires.packets.verdict.status == "ok"
    for request in fires.whole.requests:
        assert [hop.role for hop in request.hops] == ["resolver", "forward-proxy", "mirror"]
        assert request.handled_by == "mirror"


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert {hop.role for request in silent.whole.requests for hop in request.hops} == {"resolver", "mirror"}


def test_a_private_address(regression: Run) -> None:
    assert regression.found == []


def test_account_alone_shows_no_address(fires: Run) -> None:
    assert fires.account.findings == []

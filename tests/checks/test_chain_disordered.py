"""chain-disordered: a certificate too many, and the wrong order; both work, so both are notes."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "chain-disordered:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("note", "operator", "high")
    assert found.title == "proxy.golang.org sends its certificate chain in disorder"
    assert found.detail.startswith("CN=Corp Example Root,O=Corp Example has issued none of the others.")
    assert any(b"Corp Example Root" in frame.payload for frame in fires.frames(found))
    assert (fires.whole.verdict.status, fires.whole.verdict.causes) == ("ok", [])


def test_silent(silent: Run) -> None:
    """A cross-signed root is one certificate more than needed, and in order."""
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_wrong_order_in_tls_1_3(regression: Run) -> None:
    found = regression.only
    assert "CN=Lab Intermediate U1,O=Lab Trust stands before CN=Lab Intermediate E2,O=Lab Trust" in found.detail
    assert "probe" in kinds(found)
    assert checks_of(regression.packets) == set()


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_has_no_chain(fires: Run) -> None:
    """The packets showed it, so nothing was probed."""
    assert checks_of(fires.account) == set()

"""chain-incomplete: TLS 1.2, where the packets show the chain, and TLS 1.3, where only the probe does."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "chain-incomplete:proxy.golang.org"
    assert (found.severity, found.audience) == ("error", "operator")
    assert found.confidence == "medium"  # a private authority could look the same
    assert found.title == "proxy.golang.org does not send its whole certificate chain"
    assert "CN=Lab Intermediate E1" in found.detail
    assert kinds(found) == {"packet", "log"}
    assert b"Lab Intermediate E1" in fires.frames(found)[0].payload
    assert "fullchain.pem" in found.remedy.text
    assert checks_of(fires.whole) == {"chain-incomplete"}  # not certificate-not-trusted as well
    assert len(found.requests) == 2


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_probe_shows_it_in_tls_1_3(regression: Run) -> None:
    assert "probe" in kinds(regression.only)
    assert checks_of(regression.whole) == {"chain-incomplete"}
    assert checks_of(regression.account) == {"chain-incomplete"}
    assert checks_of(regression.packets) == {"certificate-not-trusted"}
    assert "Certificates" in regression.hidden


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail
    assert "Certificates" not in fires.hidden


def test_account_alone_does_not_know_the_chain(fires: Run) -> None:
    """Nothing was probed, since the packets showed the chain: go's words do not tell what is missing."""
    assert checks_of(fires.account) == {"certificate-not-trusted"}

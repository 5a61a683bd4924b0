"""client-certificate-required: TLS 1.3, where sizes tell it, and TLS 1.2, where the request is in clear."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "client-certificate-required:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "proxy.golang.org demands a client certificate, which go cannot send"
    assert all(frame.payload[:5] == bytes.fromhex("17 0303 0013") for frame in fires.frames(found))
    assert "GOAUTH" in found.remedy.text
    assert fires.whole.verdict.causes == [found.key]
    assert checks_of(fires.whole) == {"client-certificate-required"}  # not tls-refused as well


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_in_tls_1_2_the_alert_names_no_reason(regression: Run) -> None:
    for found in (regression.only, regression.in_packets):
        assert all(frame.payload == bytes.fromhex("15 0303 0002 02 28") for frame in regression.frames(found))
    assert checks_of(regression.packets) == {"client-certificate-required"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title
    assert checks_of(fires.packets) == {"client-certificate-required"}


def test_account_alone(fires: Run, regression: Run) -> None:
    """Over TLS 1.2 go only says `handshake failure`."""
    assert fires.in_account.remedy == fires.only.remedy
    assert checks_of(regression.account) == {"tls-refused"}

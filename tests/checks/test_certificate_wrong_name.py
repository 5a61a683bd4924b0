"""certificate-wrong-name: TLS 1.3, where the probe tells the names, and TLS 1.2, where the packets do."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-wrong-name:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "The certificate of proxy.golang.org is for other.example"
    assert "valid for other.example, not for proxy.golang.org" in found.detail
    assert kinds(found) == {"packet", "probe", "log"}
    assert found.remedy.command == "dig proxy.golang.org"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_packets_tell_the_names_in_tls_1_2(regression: Run) -> None:
    found = regression.in_packets
    assert "valid for other.example, not for proxy.golang.org" in found.detail
    certificate, *alerts = regression.frames(found)
    assert b"other.example" in certificate.payload
    assert all(frame.payload == bytes.fromhex("15 0303 0002 02 2a") for frame in alerts)


def test_packets_alone_show_only_the_refusal_in_tls_1_3(fires: Run) -> None:
    assert checks_of(fires.packets) == {"certificate-not-trusted"}
    assert "Certificates" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail

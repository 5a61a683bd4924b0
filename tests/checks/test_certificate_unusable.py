"""certificate-unusable: a negative serial number, in TLS 1.2 and 1.3."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-unusable:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "go cannot read a certificate of proxy.golang.org"
    assert "negative serial number" in found.detail
    certificate, *alerts = fires.frames(found)
    assert bytes.fromhex("a0030201020214c5") in certificate.payload  # version 3, a serial number below zero
    assert all(frame.payload == bytes.fromhex("15 0303 0002 02 32") for frame in alerts)  # decode_error
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_tls_1_3(regression: Run) -> None:
    assert "probe" in kinds(regression.only)
    assert regression.only.title == regression.in_account.title
    assert checks_of(regression.packets) == {"certificate-not-trusted"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_knows_it_from_gos_words(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

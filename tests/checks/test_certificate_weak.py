"""certificate-weak: a signature over SHA-1, which go refuses, and a key of 1024 bits, which it accepts."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-weak:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "A certificate of proxy.golang.org has a weak signature"
    assert "is signed with sha1WithRSAEncryption" in found.detail
    assert kinds(found) == {"packet", "log"}
    certificate, *alerts = fires.frames(found)
    assert bytes.fromhex("2a864886f70d010105") in certificate.payload  # sha1WithRSAEncryption
    assert all(frame.payload == bytes.fromhex("15 0303 0002 02 2a") for frame in alerts)
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_what_go_accepts_is_a_warning(regression: Run) -> None:
    found = regression.only
    assert found.severity == "warning"
    assert "CN=proxy.golang.org has an RSA key of only 1024 bits" in found.detail
    assert regression.whole.verdict.status == "degraded"
    assert checks_of(regression.packets) == {"certificate-weak"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_knows_it_from_gos_words(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
    assert kinds(fires.in_account) == {"log"}

"""certificate-misused: a certificate issued by a server's, and an authority that may not issue for the name."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-misused:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "The certificate of proxy.golang.org was issued by a non-CA certificate"
    assert "CN=other.example is no CA certificate" in found.detail
    assert kinds(found) == {"packet", "log"}
    assert b"other.example" in fires.frames(found)[0].payload
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_name_constraint_in_tls_1_3(regression: Run) -> None:
    found = regression.only
    assert found.title == "An authority above the certificate of proxy.golang.org may not issue for that name"
    assert "CN=Lab Intermediate C1,O=Lab Trust may not issue for the DNS name proxy.golang.org" in found.detail
    assert "probe" in kinds(found)
    assert checks_of(regression.packets) == {"certificate-not-trusted"}


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail


def test_account_alone_knows_it_from_gos_words(fires: Run, regression: Run) -> None:
    assert fires.in_account.title == fires.only.title
    assert regression.in_account.title == regression.only.title

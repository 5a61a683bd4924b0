"""certificate-expired: an expired certificate, and one that is not valid yet."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-expired:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "The certificate of proxy.golang.org has expired"
    assert "The server's certificate expired on 20" in found.detail
    assert kinds(found) == {"packet", "probe", "log"}
    assert found.remedy.command == "date -u"
    assert len(found.requests) == 2
    assert fires.whole.verdict.status == "failed"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_not_valid_yet(regression: Run) -> None:
    """In TLS 1.2 the dates and go's alert are in the packets."""
    for found in (regression.only, regression.in_packets):
        assert found.title == "The certificate of proxy.golang.org is not valid yet"
        assert "is not valid before 20" in found.detail
        certificate, *alerts = regression.frames(found)
        assert certificate.text.startswith("certificate for proxy.golang.org, issuer ")
        assert all(frame.payload == bytes.fromhex("15 0303 0002 02 2a") for frame in alerts)


def test_packets_alone_show_only_the_refusal(fires: Run) -> None:
    assert checks_of(fires.packets) == {"certificate-not-trusted"}
    assert "TLS 1.3" in fires.hidden["Certificates"]


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
    assert kinds(fires.in_account) == {"log", "probe"}

"""trust-store-lacks-root: SSL_CERT_FILE that replaces the system's roots, and one that names no file."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "trust-store-lacks-root:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "SSL_CERT_FILE leaves out the root certificate of proxy.golang.org"
    assert "leads to Lab Root X1, which the public roots vouch for" in found.detail
    assert kinds(found) >= {"packet", "probe", "env"}
    assert found.remedy.command is not None
    assert found.remedy.command.startswith("cat /etc/ssl/certs/ca-certificates.crt ")
    assert fires.whole.verdict.causes == [found.key]
    assert checks_of(fires.whole) == {"trust-store-lacks-root"}


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_no_roots_at_all(regression: Run) -> None:
    found = regression.only
    assert found.title == "go has no root certificates: SSL_CERT_FILE names none"
    assert "The trust store is empty: SSL_CERT_FILE=/nonexistent/ca.pem (unreadable)" in found.detail
    assert (found.remedy.command or "").startswith("unset SSL_CERT_FILE")
    assert checks_of(regression.whole) == {"trust-store-lacks-root"}


def test_packets_alone_know_no_store(fires: Run) -> None:
    assert checks_of(fires.packets) == {"certificate-not-trusted"}


def test_account_and_probe_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

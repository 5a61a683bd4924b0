"""insecure-redirect: from https to http; from https to https and from http to http nothing is lost."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "insecure-redirect:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert found.title == "proxy.golang.org redirects https to plain http"
    assert "https://proxy.golang.org/example.com/beta/@v/v1.0.1.zip was redirected to http://storage." in found.detail
    assert found.remedy.command == "curl -sSI https://proxy.golang.org/example.com/beta/@v/v1.0.1.zip"
    assert [fires.whole.requests[number].artifact for number in found.requests] == ["zip"]
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    """The same redirect, to https."""
    assert silent.found == []
    assert any(request.redirects for request in silent.whole.requests)
    assert silent.whole.verdict.status == "ok"


def test_http_to_http_is_another_matter(regression: Run) -> None:
    assert regression.found == []
    assert any(request.redirects for request in regression.packets.requests)
    assert checks_of(regression.whole) == {"plain-http-mirror"}


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail

"""redirect-loop: a URL that leads to itself; a chain of redirects that ends is none."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "redirect-loop:goproxy.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert "stopped after 10 redirects" in found.detail
    url = "https://goproxy.corp.example/example.com/beta/@v/v1.0.1.zip"
    assert f"{url} leads to {url}." in found.detail
    assert found.remedy.command == f"curl -sSIL --max-redirs 10 {url}"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_chain_that_ends(regression: Run) -> None:
    assert regression.found == []
    assert max(len(request.redirects) for request in regression.whole.requests) == 3


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

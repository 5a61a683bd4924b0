"""web-page-instead-of-module: a login page; right data under a wrong content type is none."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "web-page-instead-of-module:login.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == ("goproxy.corp.example sends go to a web page of login.corp.example instead of module data")
    assert "status 200 and HTML" in found.detail
    assert found.remedy.command == "curl -sSL https://goproxy.corp.example/example.com/beta/@v/v1.0.1.info"
    assert "invalid character '<'" in " ".join(piece.text for piece in found.evidence)
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_content_type_alone_is_no_page(regression: Run) -> None:
    assert regression.found == []
    assert regression.whole.verdict.status == "ok"
    assert regression.whole.requests


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

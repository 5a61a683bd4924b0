"""unusable-answer: half a zip file; after a bar go says nothing and asks the next entry."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "unusable-answer:goproxy.corp.example:bad-zip"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "goproxy.corp.example delivers a damaged zip file"
    assert found.detail == "zip of example.com/beta@v1.0.1: go says “zip: not a valid zip file”."
    assert [fires.whole.requests[number].artifact for number in found.requests] == ["zip"]
    assert found.remedy.command == (
        "curl -sSL -o module.zip https://goproxy.corp.example/example.com/beta/@v/v1.0.1.zip && unzip -tq module.zip"
    )
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_after_a_bar_go_is_silent(regression: Run) -> None:
    found = regression.only
    assert found.key == "unusable-answer:goproxy.corp.example:not-used"
    assert (found.severity, found.confidence) == ("warning", "medium")
    assert "go asked https://proxy.golang.org for it all the same" in found.detail
    assert regression.whole.verdict.status == "degraded"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail

"""credentials-in-url: a password in GOPROXY; a user name alone is no secret."""

from checks.conftest import Run, checks_of, kinds, of


def test_fires(fires: Run) -> None:
    [found] = of("credentials-in-url", fires.whole)
    assert found.key == "credentials-in-url:GOPROXY"
    assert (found.severity, found.audience, found.confidence) == ("note", "security", "high")
    assert found.remedy.command == "export GOPROXY=https://goproxy.corp.example"
    assert kinds(found) == {"env"}
    assert [piece.text for piece in found.evidence] == ["GOPROXY=https://ci:xxxxx@goproxy.corp.example"]
    assert fires.whole.verdict.status == "ok"


def test_silent(silent: Run) -> None:
    assert silent.found == []


def test_a_user_name_is_no_secret(regression: Run) -> None:
    assert regression.found == []
    assert regression.whole.verdict.status == "ok"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()


def test_account_alone(fires: Run) -> None:
    assert of("credentials-in-url", fires.account) == of("credentials-in-url", fires.whole)


def test_secrets_are_in_no_report(fires: Run) -> None:
    assert "s3cret" not in repr((fires.whole, fires.packets, fires.account))

"""checksum-mismatch: against the checksum database, and against go.sum."""

from checks.conftest import Run, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "checksum-mismatch:example.com/alpha@v1.2.3"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "certain")
    assert found.title == "example.com/alpha@v1.2.3 does not match the checksum database"
    assert "SECURITY ERROR" in found.detail
    assert "log" in kinds(found)
    assert "do not switch the check off" in found.remedy.text
    assert "GOSUMDB" not in (found.remedy.command or "")
    modules = {fires.whole.requests[number].module for number in found.requests}
    assert modules == {"example.com/alpha"}
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_go_sum(regression: Run) -> None:
    assert regression.only.title == "example.com/beta@v1.0.1 does not match go.sum"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail

"""dns-conflicting-answers: a forged answer ahead of the true one; a cut answer and the whole one agree."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "dns-conflicting-answers:proxy.golang.org"
        assert (found.severity, found.audience) == ("error", "security")
        assert "first 198.51.100.31, then 203.0.113.10" in found.detail
        one, other = fires.frames(found)[:2]
        assert one.payload[:2] == other.payload[:2]  # the id of the query
        assert (one.payload[-4:], other.payload[-4:] == one.payload[-4:]) == (bytes([198, 51, 100, 31]), False)
    assert fires.whole.verdict.causes[0] == fires.only.key
    assert checks_of(fires.whole) == {"dns-conflicting-answers", "certificate-wrong-name"}


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_cut_answer(regression: Run) -> None:
    assert {item.transport for item in regression.whole.dns} == {"tcp"}
    assert regression.whole.findings == regression.packets.findings == []


def test_account_alone(fires: Run) -> None:
    assert checks_of(fires.account) == {"certificate-wrong-name"}

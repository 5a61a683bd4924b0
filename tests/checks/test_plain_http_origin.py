"""plain-http-origin: by the go-import page, and by git's own setting where go's account says https."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "plain-http-origin:git.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert found.title == "git.corp.example is asked for modules over plain http"
    assert found.remedy.command == "git ls-remote https://git.corp.example/team/lib.git"
    assert {fires.whole.requests[number].artifact for number in found.requests} == {"git"}
    assert fires.whole.verdict.status == "suspicious"


def test_silent(silent: Run) -> None:
    """The page names https."""
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_what_git_is_set_to_counts(regression: Run) -> None:
    found = regression.only
    assert {regression.whole.requests[number].url for number in found.requests} == {
        "http://git.corp.example/team/lib.git"
    }


def test_packets_alone_show_it(fires: Run) -> None:
    found = fires.in_packets
    assert found.key == fires.only.key
    assert all(b"HTTP/1.1" in frame.payload for frame in fires.frames(found))


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

"""ssh-host-key-rejected: a key that has changed; a server that refuses the client's key is another matter."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "ssh-host-key-rejected:git.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "high")
    assert found.title == "git.corp.example shows another ssh host key than the one that is known here"
    assert found.remedy.command == "ssh-keyscan git.corp.example | ssh-keygen -lf -"
    assert fires.whole.verdict.causes == [found.key]


def test_the_request_is_tied_to_its_ssh_connection(fires: Run) -> None:
    [number] = fires.only.requests
    request = fires.whole.requests[number]
    assert request.handled_by == "none"
    origin = request.hops[-1]
    assert origin.broken
    assert fires.whole.flows[origin.flow or 0].server.port == 22


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_clients_key_is_another_matter(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"origin-refuses"}


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title

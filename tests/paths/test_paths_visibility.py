"""Silence is never taken for health: what is not SEEN is said to be so."""

from typing import Any

from paths.made import MIRROR, OTHER, Log, Net, certificate, ledger
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Outcome
from trace_go.model.go import GoAccount
from trace_go.model.report import CaptureFile, Seeing
from trace_go.paths.visibility import seeing

URL = "https://proxy.golang.org/example.com/a/@v/v1.0.0.mod"


def file(**changes: Any) -> CaptureFile:
    fields: dict[str, Any] = {
        "name": "a.pcap",
        "format": "pcap",
        "link_types": ("ETHERNET",),
        "packets": 10,
        "bytes": 1000,
        "first_ns": 1,
        "last_ns": 2,
        "truncated_packets": 0,
        "drops": None,
        "problem": None,
    }
    return CaptureFile(**fields | changes)


def seen(net: Net, log: Log | None = None, *files: CaptureFile) -> dict[str, Seeing]:
    account = GoAccount(log=log.log) if log else GoAccount()
    requests = ledger(net, log)
    found = seeing(files or (file(),), net.traffic, account, requests, net.judgements)
    assert [item.fact for item in found] == ["Packets", "Names (DNS)", "Certificates", "Requests", "Processes"]
    return {item.fact: item for item in found}


def answered(url: str = URL) -> Log:
    log = Log()
    log.get(url, sent=[200])
    return log


def test_everything_is_seen() -> None:
    net = Net()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow(chain=(certificate(),), process="go (1)")
    assert {item.visibility for item in seen(net, answered()).values()} == {Visibility.SEEN}


def test_no_packets_at_all() -> None:
    found = seen(Net(), answered(), file(packets=0))
    assert {name for name, item in found.items() if item.visibility is Visibility.SEEN} == {"Requests"}
    assert "proxy.golang.org" in found["Certificates"].why
    assert {item.visibility for name, item in found.items() if name != "Requests"} == {Visibility.NOT_OBSERVABLE}


def test_an_empty_capture_beside_a_command_shows_that_nothing_was_asked() -> None:
    ran = GoAccount(argv=("go", "build"), exit_code=0)
    found = seeing((file(packets=0),), Net().traffic, ran, (), ())
    assert {item.visibility for item in found} == {Visibility.SEEN}
    for files in ((), (file(packets=0, drops=1),), (file(packets=0, problem="cut"),), (file(),)):
        found = seeing(files, Net().traffic, ran, (), ())
        assert found[3].visibility is Visibility.NOT_OBSERVABLE


def test_no_packets_but_a_probe() -> None:
    net = Net()
    net.judge(None)
    assert seen(net, answered(), file(packets=0))["Certificates"].visibility is Visibility.PROBED


def test_a_capture_without_anything_of_gos() -> None:
    found = seen(Net())
    assert found["Names (DNS)"].visibility is Visibility.NOT_OBSERVABLE
    assert found["Requests"].visibility is Visibility.NOT_OBSERVABLE


def test_a_log_without_requests_says_so() -> None:
    log = Log()
    log.say("go: errors parsing go.mod")
    found = seen(Net(), log)["Requests"]
    assert (found.visibility, found.why) == (Visibility.SEEN, "go's own log has none")


def test_lost_and_cut_packets() -> None:
    for changes, word in (({"drops": 3}, "lost"), ({"truncated_packets": 3}, "cut short")):
        found = seen(Net(), None, file(**changes))["Packets"]
        assert found.visibility is Visibility.INFERRED
        assert word in found.why


def test_an_address_from_elsewhere() -> None:
    net = Net()
    net.resolve("proxy.golang.org", OTHER)
    net.flow()
    found = seen(net, answered())["Names (DNS)"]
    assert found.visibility is Visibility.NOT_OBSERVABLE
    assert MIRROR in found.why


def test_hidden_chains_are_probed_or_not_observable() -> None:
    net = Net()
    net.flow()
    assert seen(net, answered())["Certificates"].visibility is Visibility.NOT_OBSERVABLE
    net.judge(None)
    assert seen(net, answered())["Certificates"].visibility is Visibility.PROBED


def test_chains_of_broken_handshakes_are_not_hidden() -> None:
    net = Net()
    net.flow(outcome=Outcome.SILENT)
    assert seen(net)["Certificates"].visibility is Visibility.SEEN


def test_requests_without_an_account() -> None:
    net = Net()
    net.flow()
    found = seen(net)["Requests"]
    assert found.visibility is Visibility.NOT_OBSERVABLE
    assert found.why.startswith("TLS hides what was asked on 1 connection;")


def test_what_was_never_asked_is_not_hidden() -> None:
    net = Net()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow(outcome=Outcome.REFUSED)
    found = seen(net)
    assert found["Requests"].why.startswith("1 connection ended before anything was asked;")
    assert found["Processes"].visibility is Visibility.NOT_OBSERVABLE


def test_processes() -> None:
    net = Net()
    net.flow()
    assert "fingerprint" in seen(net)["Processes"].why
    net.flow("sum.golang.org", OTHER, process="go (1)")
    found = seen(net)["Processes"]
    assert (found.visibility, found.why[:6]) == (Visibility.INFERRED, "1 of 2")


def test_long_lists_are_cut() -> None:
    net = Net()
    for number in range(6):
        net.flow(f"h{number}.example", f"203.0.113.{number}")
    assert "…" in seen(net)["Names (DNS)"].why

"""The whole flow on shipped captures: pure, picklable, and at ease with files that cannot be read."""

import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, to_builtins

from trace_go.gocmd.config import Config, Suppression
from trace_go.model.evidence import EvidenceKind, Visibility
from trace_go.model.finding import VerdictStatus
from trace_go.model.go import GoAccount
from trace_go.model.ledger import HandledBy
from trace_go.pipeline import Options, Source, analyse, judge, observe, probe, selected
from trace_go.report.v1.report import of_report
from trace_go.trust.store import TrustStore, certifi_store

CAPTURES = Path(__file__).parents[1] / "captures"
PCAPS = sorted(CAPTURES.glob("*.pcap"))
DEAD, HEALTHY, TLS12 = (CAPTURES / f"{name}.pcap" for name in ("mirror-dead", "healthy-mirror", "healthy-tls12"))


@pytest.fixture(scope="module")
def store() -> TrustStore:
    return certifi_store()


def source(*paths: Path, **changes: Any) -> Source:
    return Source(captures=tuple(map(str, paths)), **changes)


def values(item: Any, path: str = "report") -> Iterator[tuple[str, Any]]:
    """Every value in a report that holds no others, with its place."""
    if isinstance(item, Struct):
        for name in item.__struct_fields__:
            yield from values(getattr(item, name), f"{path}.{name}")
    elif isinstance(item, tuple | list):
        for number, part in enumerate(item):
            yield from values(part, f"{path}[{number}]")
    elif isinstance(item, dict):
        for key, part in item.items():
            yield from values(part, f"{path}[{key!r}]")
    else:
        yield path, item


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.stem)
def test_reports_hold_plain_values_and_sound_references(path: Path, store: TrustStore) -> None:
    """What is a NumPy number here is no number in JSON."""
    report = analyse(source(path), Options(store=store))
    case = report.case
    assert {place for place, value in values(report) if type(value).__module__.startswith("numpy")} == set()
    assert [flow.id for flow in case.flows] == list(range(len(case.flows)))
    assert [request.id for request in case.requests] == list(range(len(case.requests)))
    packets = case.files[0].packets
    for request in case.requests:
        assert request.evidence
        assert all(hop.flow is None or hop.flow < len(case.flows) for hop in request.hops)
    for piece in [piece for item in (*case.requests, *report.findings) for piece in item.evidence]:
        assert piece.packet is None or 1 <= piece.packet <= packets
    keys = {finding.key for finding in report.findings}
    assert set(report.verdict.causes) <= keys
    assert all(number < len(case.requests) for finding in report.findings for number in finding.requests)


def test_the_same_input_gives_the_same_report(store: TrustStore) -> None:
    options = Options(store=store)
    assert analyse(source(DEAD), options) == analyse(source(DEAD), options)


def test_input_and_result_can_be_sent_to_another_process(store: TrustStore) -> None:
    given = source(DEAD, account=GoAccount(argv=("go",)), owners={("192.0.2.2", 1, "203.0.113.10", 443): "go (1)"})
    options = Options(store=store, config=Config(mirrors=("m.example",)), select=("connect-timeout",))
    again_given, again_options = pickle.loads(pickle.dumps((given, options)))
    report = analyse(again_given, again_options)
    assert pickle.loads(pickle.dumps(report)) == report == analyse(given, options)


def test_several_files_keep_their_numbers(store: TrustStore) -> None:
    report = analyse(source(HEALTHY, DEAD), Options(store=store))
    case = report.case
    dead = [file.name for file in case.files].index(str(DEAD))
    assert case.files[0].last_ns < case.files[1].first_ns
    assert {flow.file for flow in case.flows} == {0, 1}
    assert [flow.id for flow in case.flows] == list(range(len(case.flows)))
    assert {lookup.file for lookup in case.lookups} == {0, 1}
    (finding,) = report.findings
    (alone,) = analyse(source(DEAD), Options(store=store)).findings
    assert [(piece.packet, piece.text) for piece in finding.evidence] == [
        (piece.packet, piece.text) for piece in alone.evidence
    ]
    assert {piece.file for piece in finding.evidence if piece.kind is EvidenceKind.PACKET} == {dead}
    for request in case.requests:
        for hop in request.hops:
            assert hop.flow is None or case.flows[hop.flow].file == request.evidence[0].file


def split(path: Path, folder: Path, file_of_packet: Callable[[int], int]) -> list[Path]:
    """The packets of a capture in several files, the last file first."""
    blob = path.read_bytes()
    parts: dict[int, bytes] = {}
    at, number = 24, 0
    while at < len(blob):
        end = at + 16 + struct.unpack_from("<I", blob, at + 8)[0]
        name = file_of_packet(number)
        parts[name] = parts.get(name, blob[:24]) + blob[at:end]
        at, number = end, number + 1
    for name, content in parts.items():
        (folder / f"part{name}.pcap").write_bytes(content)
    return [folder / f"part{name}.pcap" for name in sorted(parts, reverse=True)]


NUMBERS = {"packet", "packets", "file", "last_file", "first_packet", "last_packet", "hello_packet"}


def without(item: Any, names: set[str]) -> Any:
    """What a report says, but for the values of these names."""
    if isinstance(item, dict):
        return {key: without(value, names) for key, value in item.items() if key not in names}
    return [without(value, names) for value in item] if isinstance(item, list) else item


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("parts", "hidden"),
    [
        (lambda number: number // 20, NUMBERS),
        (lambda number: number * 7919 % 13 % 3, NUMBERS | {"evidence"}),  # chosen by file, then by number
    ],
    ids=["ring", "tap"],
)
def test_parts_say_what_the_whole_says(
    path: Path, parts: Callable[[int], int], hidden: set[str], tmp_path: Path, store: TrustStore
) -> None:
    whole, divided = (
        to_builtins(of_report(analyse(source(*paths), Options(store=store))))
        for paths in ([path], split(path, tmp_path, parts))
    )
    for name in ("flows", "dns", "requests", "findings", "verdict"):
        assert without(divided[name], hidden) == without(whole[name], hidden), name


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path, store: TrustStore) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"rubbish")
    report = analyse(source(bad, tmp_path / "missing", DEAD), Options(store=store))
    assert [bool(file.problem) for file in report.case.files] == [False, True, True]
    assert {flow.file for flow in report.case.flows} == {0}
    assert report.verdict.status is VerdictStatus.FAILED


def test_a_cut_off_file_counts_what_was_read(tmp_path: Path, store: TrustStore) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(HEALTHY.read_bytes()[:-5])
    whole = observe(source(HEALTHY)).files[0]
    (file,) = observe(source(cut)).files
    assert file.packets == whole.packets - 1
    assert file.problem


def test_names_and_progress(store: TrustStore) -> None:
    seen: list[tuple[str, int, int | None]] = []
    observed = observe(source(DEAD, names=("this run",)), lambda *step: seen.append(step))
    assert observed.files[0].name == "this run"
    assert {name for name, _, _ in seen} == {"this run"}
    assert seen[-1][1] <= (seen[-1][2] or 0) <= DEAD.stat().st_size


def test_owners_are_tied_to_their_flows() -> None:
    flow = next(flow for flow in observe(source(HEALTHY)).traffic.flows if flow.tls)
    key = (flow.client.ip, flow.client.port, flow.server.ip, flow.server.port)
    again = observe(source(HEALTHY, owners={key: "go (7)"})).traffic.flows[flow.id]
    assert again.process == "go (7)"


def test_no_input_at_all(store: TrustStore) -> None:
    report = analyse(Source(), Options(store=store))
    assert report.case.requests == ()
    assert report.findings == ()


def test_nothing_is_probed_without_an_environment(store: TrustStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a probe")

    monkeypatch.setattr("trace_go.capture.probe.probe_all", forbidden)
    observed = observe(source(HEALTHY))
    assert probe(source(HEALTHY), observed, Options(store=store)) == ()
    analyse(source(HEALTHY), Options(store=store))
    with pytest.raises(AssertionError, match="a probe"):
        probe(source(HEALTHY), observed, Options(store=store, probe_environment={}))


def test_a_chain_that_our_store_does_not_trust_is_not_called_an_interceptors(store: TrustStore) -> None:
    """The lab's own authority is unknown here; that alone names no interceptor and no handler."""
    report = analyse(source(TLS12), Options(store=store))
    assert report.case.judgements
    assert not any(judgement.trusted or judgement.interceptor for judgement in report.case.judgements)
    assert {request.handled_by for request in report.case.requests} <= {HandledBy.UNKNOWN, HandledBy.NONE}
    assert {judgement.visibility for judgement in report.case.judgements} == {Visibility.SEEN}


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [((), (), True), (("a",), (), True), (("b",), (), False), ((), ("a",), False), (("a",), ("a",), False)],
)
def test_selection(select: tuple[str, ...], ignore: tuple[str, ...], expected: bool, store: TrustStore) -> None:
    assert selected("a", Options(store=store, select=select, ignore=ignore)) == expected


def test_ignored_findings_are_counted(store: TrustStore) -> None:
    observed = observe(source(DEAD))
    report = judge(source(DEAD), observed, Options(store=store, ignore=("connect-timeout",)), ())
    assert (report.findings, report.suppressed) == ((), 1)
    assert report.verdict.status is VerdictStatus.OK


def test_suppressed_findings_keep_their_reason(store: TrustStore) -> None:
    observed = observe(source(DEAD))
    rule = Suppression(finding="connect-timeout:*", reason="known outage")
    report = judge(source(DEAD), observed, Options(store=store, config=Config(suppress=(rule,))), ())
    assert (report.findings, report.suppressed) == ((), 1)
    assert [(item.finding.id, item.reason) for item in report.excused] == [("connect-timeout", "known outage")]
    assert report.verdict.causes == ()


def test_what_is_ignored_needs_no_reason(store: TrustStore) -> None:
    observed = observe(source(DEAD))
    rule = Suppression(finding="connect-timeout", reason="known outage")
    options = Options(store=store, ignore=("connect-timeout",), config=Config(suppress=(rule,)))
    report = judge(source(DEAD), observed, options, ())
    assert (report.suppressed, report.excused) == (1, ())

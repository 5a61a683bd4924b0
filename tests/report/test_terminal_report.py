"""What people see: fixed pages at two widths, plain and coloured, and pages that an attacker filled."""

import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs
from rich.cells import cell_len

from paths.made import Log, Net
from report.made_reports import ALL, BASE, capture, failed, finding, healthy, packets_alone, poisoned, report, small
from trace_go.model import evidence
from trace_go.model.finding import Excused, Remedy
from trace_go.model.flow import Outcome
from trace_go.model.report import Report
from trace_go.report.ledger_section import MAX_FAILURES, MAX_GROUPS, MAX_ROWS
from trace_go.report.terminal import MAX_FINDINGS, MAX_LINES, TerminalReporter

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "UPDATE_GOLDEN" in os.environ
"""write the pages again; then read the difference"""

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
SGR = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m[red]x[/red][link=http://evil]\x00\r\n\u202egpj.exe\u200b\udc80\U000e0041é漢"


def render(item: Report, width: int = 80, *, color: bool | None = False, verbose: bool = False) -> str:
    out = io.StringIO()
    TerminalReporter(color=color, width=width, verbose=verbose).render(item, out)
    return out.getvalue()


def is_command(line: str) -> bool:
    """A command stays on one line, to be copied."""
    return line.lstrip().startswith("$ ")


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", ALL)
def test_pages(name: str, width: int) -> None:
    text = render(ALL[name](), width)
    assert all(cell_len(line) <= width or is_command(line) for line in text.split("\n"))
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    check(f"{name}-{width}.txt", text)


def test_piped_output_has_eighty_columns_and_no_colour() -> None:
    out = io.StringIO()
    TerminalReporter().render(failed(), out)
    assert "\x1b" not in out.getvalue()


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render(failed(), color=True)
    assert SGR.search(coloured)
    assert [line.rstrip() for line in SGR.sub("", coloured).split("\n")] == render(failed()).split("\n")


def test_verbose_lists_every_request() -> None:
    text = render(healthy(), verbose=True)
    assert text.count("mod example.com/module") == 9
    assert "×" not in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("name", ALL)
def test_every_encoding_takes_it(name: str, encoding: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="\n")
    TerminalReporter(color=False, width=80).render(ALL[name](), out)
    out.flush()
    text = raw.getvalue().decode(encoding)
    if encoding == "ascii":
        assert "\\u" not in text  # our own characters have plain forms
        check(f"{name}-ascii.txt", text)


def test_the_order_is_verdict_path_findings_ledger() -> None:
    text = render(failed())
    heads = ["FAILED", "Fix:", "\nPath", "\nFindings", "\nLedger", "\nNot seen directly", "\nInput"]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_failures_come_first_in_path_and_ledger() -> None:
    text = render(failed())
    assert text.index("✗") < text.index("● mirror")
    rows = text.partition("Ledger")[2]
    assert rows.index("status-403") < rows.index("200")


def test_many_failures_and_groups_are_cut_but_counted() -> None:
    net, log = Net(), Log()
    for number in range(MAX_FAILURES + 5):
        log.fail(f"{BASE}/example.com/m{number}/@v/v1.0.0.mod", "EOF")
    for number in range(MAX_GROUPS + 3):
        log.get(f"https://h{number}.example/?go-get=1")
    item = report(net, log)
    text = render(item)
    assert "and 5 more failed requests: -v" in text
    assert "and 3 more groups: -v" in text
    assert "more" not in render(item, verbose=True).partition("Ledger")[2].partition("\nInput")[0]


def test_everything_that_an_input_multiplies_is_bounded() -> None:
    net, log = Net(), Log()
    for number in range(MAX_ROWS + 7):
        log.get(f"{BASE}/m{number}.example/@v/v1.0.0.mod", sent=[200])
    findings = tuple(
        finding(subject=f"host{number}", title=f"host{number} fails") for number in range(MAX_FINDINGS + 1)
    )
    files = tuple(capture(name=f"{number}.pcap") for number in range(MAX_LINES + 2))
    excused = tuple(Excused(finding=item, reason="Known.") for item in findings)
    item = structs.replace(report(net, log, findings=findings, files=files), excused=excused)
    text = render(item, verbose=True)
    assert "and 1 more finding, see --format json" in text
    assert "and 2 more files, see --format json" in text
    assert f"and {len(excused) - MAX_LINES} more suppressed findings, see --format json" in text
    assert "and 7 more requests: see --format json" in text
    assert text.count("\n") < MAX_ROWS + 12 * MAX_FINDINGS + 10 * MAX_LINES


def test_failures_that_look_the_same_are_one_line() -> None:
    net = Net()
    for _ in range(5):
        net.flow(outcome=Outcome.REJECTED_CERTIFICATE)
    rows = render(report(net)).partition("Ledger")[2]
    assert "5 × connection" in rows
    assert rows.count("certificate-rejected") == 1
    assert render(report(net), verbose=True).partition("Ledger")[2].count("certificate-rejected") == 5


def test_paths_that_failed_differently_are_drawn_apart() -> None:
    log = Log()
    log.get(f"{BASE}/example.com/a/@v/v1.0.0.mod", 403)
    log.get(f"{BASE}/example.com/b/@v/v1.0.0.mod", 500)
    text = render(report(Net(), log))
    assert "403 Forbidden" in text
    assert "500 Internal Server Error" in text


def test_evidence_names_its_file_when_there_are_several() -> None:
    text = render(packets_alone())
    assert "packet 13 of a.pcap: ClientHello for proxy.golang.org" in text
    assert "cut off in packet 99" in text


# -- hostile text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_nothing_of_an_attacker_reaches_the_terminal(name: str, color: bool) -> None:
    text = render(poisoned(ALL[name](), HOSTILE), color=color, verbose=True)
    plain = SGR.sub("", text)
    assert not UNSAFE.search(plain)
    assert "[red]x[/red]" in plain.replace("\n", "") or name == "empty"  # markup is text
    assert "\x1b]8" not in text  # no links


def test_page_of_an_attacker() -> None:
    check("hostile-80.txt", render(poisoned(small(), HOSTILE)))


@pytest.mark.parametrize("name", ALL)
def test_long_texts_are_cut(name: str) -> None:
    text = render(poisoned(ALL[name](), "A" * 65_536))
    assert len(text) < 40_000
    assert all(len(line) <= 80 or is_command(line) for line in text.split("\n"))


def test_text_that_grows_when_escaped_is_bounded_too() -> None:
    assert len(render(poisoned(failed(), "\U000e0001" * 65_536))) < 300_000


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), max_size=60))
@example("[/]")
@example("[bold")
@example("\\[red]")
@example(" \n \t ")
def test_any_text(text: str) -> None:
    page = render(poisoned(failed(), text))
    assert not UNSAFE.search(page)
    assert all(line == line.rstrip() for line in page.split("\n"))


def test_messages_of_several_lines_are_one_paragraph() -> None:
    item = finding(
        detail="go: m@v1: checksum mismatch\n\tdownloaded: h1:x\n\nSECURITY ERROR",
        evidence=(evidence.log(3, "a\n\tb"),),
    )
    text = render(report(Net(), findings=(item,)))
    assert "checksum mismatch downloaded: h1:x SECURITY ERROR" in text
    assert "log line 3: a b" in text


def test_spaces_do_not_take_forever() -> None:
    """65,536 spaces, in a pattern that invites backtracking."""
    render(poisoned(failed(), " " * 65_536 + "x"))


def test_a_file_without_packets_and_one_with_a_problem() -> None:
    files = (capture(packets=0, bytes=0), capture(name="b\x1b.pcap", format="unreadable", problem="no capture file"))
    text = render(report(Net(), files=files))
    assert "b\\x1b.pcap: unreadable" in text
    assert "no capture file" in text


def test_suppressed_findings_are_counted() -> None:
    assert "2 findings not shown" in render(failed())
    assert "not shown" not in render(structs.replace(failed(), suppressed=0)).partition("Input")[2]


def test_suppressed_findings_are_listed_with_their_reason() -> None:
    excused = Excused(finding=finding(title="a\x1b[2J"), reason="known\x1b[31m outage")
    text = render(structs.replace(failed(), suppressed=3, excused=(excused,)))
    assert "Suppressed by trace-go.toml: 1" in text
    assert "outage" in text
    assert "\x1b" not in text
    assert "2 findings not shown (--select, --ignore)" in text


def test_evidence_that_shows_the_same_is_one_line() -> None:
    packets = (evidence.packet(3, "RST"), evidence.packet(7, "RST"))
    pieces = (*packets, evidence.log(2, "refused"), evidence.log(9, "refused"))
    text = render(structs.replace(failed(), findings=(finding(evidence=pieces),)))
    assert "packets 3, 7: RST" in text
    assert "log lines 2, 9: refused" in text


def test_a_fix_is_told_once() -> None:
    remedy = Remedy(text="Do it.", command="do it")
    twice = (finding(remedy=remedy), finding(remedy=Remedy(text="Also that.", command="do it"), subject="other"))
    report = failed()
    verdict = structs.replace(report.verdict, fix=())
    assert render(structs.replace(report, findings=twice, verdict=verdict)).count("$ do it") == 1

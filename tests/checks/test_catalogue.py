"""The catalogue as a whole: each check has its page, metadata, tests and captures, and none of them has no check."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.conftest import CAPTURES, RUNS, read
from lab import scenario
from trace_go.checks import catalogue
from trace_go.checks.discovery import SECTIONS, Check, discover
from trace_go.model.finding import Audience, Severity
from trace_go.report.v1.finding import Remedy

CHECKS = discover()
IDS = tuple(check.id for check in CHECKS)
TESTS = Path(__file__).parent
NOT_CHECKS = {"test_catalogue.py", "test_any_case.py", "test_helpers.py", "test_verdict.py"}
MAX_LINES, MAX_BYTES = 200, 60_000  # style.md, rubric row 6; everybody clones the captures
GROUPS = {"configuration", "names", "transport", "tls", "proxy", "go", "policy"}
WEAKER = re.compile(r"GO(NO)?SUMDB='?(off|\*)|GOINSECURE=|GOFLAGS=\S*insecure|NO_VERIFY|--insecure|curl -\w*k\b")

WEAKENS = re.compile(
    r"GOSUMDB=off|GOINSECURE|NO_VERIFY|GOFLAGS=\S*insecure|switch\w* \w+ check|skip\w* \w+ verif", re.IGNORECASE
)
"""in a page: any mention of what switches a check off"""
ADMITS = re.compile(r"\b(not|never|out of|remove|unset|instead of|nobody|nothing|without)\b", re.IGNORECASE)


def file_of(check: Check) -> Path:
    return Path(catalogue.__path__[0]) / f"{check.id.replace('-', '_')}.py"


@pytest.mark.parametrize("check", CHECKS, ids=IDS)
def test_page(check: Check) -> None:
    title, _, rest = check.page.partition("\n")
    assert re.fullmatch(r"[A-Z][^\n]{10,90}\.", title)
    assert check.title == title.rstrip(".")
    headings = re.findall(r"^(\S.*)$", rest, re.MULTILINE)
    assert tuple(headings) == SECTIONS
    bodies = re.split(rf"^(?:{'|'.join(SECTIONS)})$", rest, flags=re.MULTILINE)[1:]
    assert all(len(body.split()) > 1 for body in bodies)
    assert all(line == "" or line.startswith("    ") for body in bodies for line in body.split("\n"))


@pytest.mark.parametrize("check", CHECKS, ids=IDS)
def test_metadata(check: Check) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z]+)*", check.id)
    assert check.meta.group in GROUPS
    assert isinstance(check.meta.severity, Severity)
    assert isinstance(check.meta.audience, Audience)
    assert len(file_of(check).read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("check", CHECKS, ids=IDS)
def test_tests_and_captures(check: Check) -> None:
    assert (TESTS / f"test_{check.id.replace('-', '_')}.py").exists()
    folder = CAPTURES / check.id
    assert {path.name for path in folder.iterdir()} == {"case.toml", *(f"{run}.zip" for run in RUNS)}
    assert all((folder / f"{run}.zip").stat().st_size < MAX_BYTES for run in RUNS)


@pytest.mark.parametrize("check", CHECKS, ids=IDS)
def test_silent_is_the_sibling_of_fires(check: Check) -> None:
    case = tomllib.loads((CAPTURES / check.id / "case.toml").read_text())
    fires, silent = case["fires"], case["silent"]
    assert fires.keys() <= {"scenario", "change", "command"}
    assert silent["scenario"] == fires["scenario"]
    assert silent.get("command") == fires.get("command")
    assert len(case["regression"]["about"]) > 10
    one, other = (scenario.load(run["scenario"], run.get("change", "")) for run in (fires, silent))
    assert one != other
    assert (one.require, one.ipv6, one.limit_s) == (other.require, other.ipv6, other.limit_s)


def test_nothing_is_left_over() -> None:
    assert {path.name for path in TESTS.glob("test_*.py")} - NOT_CHECKS == {
        f"test_{name.replace('-', '_')}.py" for name in IDS
    }
    assert {path.name for path in CAPTURES.iterdir()} == set(IDS)


def test_causes_are_ranked_in_the_order_a_request_goes() -> None:
    rank = {check.id: check.meta.cause_rank for check in CHECKS}
    assert len(set(rank.values())) == len(rank)
    faults = [check for check in CHECKS if check.meta.severity is Severity.ERROR]
    by_group = {group: [rank[check.id] for check in faults if check.meta.group == group] for group in GROUPS}
    assert max(by_group["names"]) < min(by_group["proxy"] + by_group["transport"])
    assert max(by_group["proxy"]) < min(by_group["tls"])
    assert max(by_group["tls"] + by_group["transport"]) < min(by_group["go"])
    errors = [check.meta.cause_rank for check in CHECKS if check.meta.severity is Severity.ERROR]
    assert all(check.meta.cause_rank > max(errors) for check in CHECKS if check.meta.severity is not Severity.ERROR)


def remedies() -> Iterator[Remedy]:
    for path in sorted(CAPTURES.glob("*/*.zip")):
        for report in read(path):
            yield from (finding.remedy for finding in report.findings)


def test_remedies_fit_on_a_line_and_weaken_nothing() -> None:
    for remedy in set(remedies()):
        assert re.fullmatch(r"[A-Z][^\n]{20,130}\.", remedy.text)
        assert not WEAKER.search(f"{remedy.text} {remedy.command}")
        if remedy.command:
            assert remedy.command.isprintable()
            assert shlex.split(remedy.command)


@pytest.mark.parametrize("check", CHECKS, ids=IDS)
def test_no_page_weakens_security_without_saying_so(check: Check) -> None:
    sentences = re.split(r"(?<=[.;:]) ", check.sections["What to do"])
    assert all(ADMITS.search(text) for text in sentences if WEAKENS.search(text))

"""The scoreboard: what counts as worse and as better, what is committed, what stands for all, and its page."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from lab import board, scenario, servers
from lab.board import Result
from lab.score import KINDS, Score

FINE = Result(scores={kind: Score(right=3) for kind in KINDS})
FEWER = Result(scores={kind: Score(right=2) for kind in KINDS})
FALSE = Result(scores=FINE.scores | {"live": Score(right=3, false=("a",))})
BLIND = Result(scores=FINE.scores | {"packets": Score(unseen=3)})
BAD_EXIT = replace(FINE, command=False)
BROKEN = Result(command=False, notes=("did not run: no namespaces",))
OLDER = Result(scores={"packets": Score(right=3)})
"""made when there were fewer inputs"""
SKIPPED = Result(skipped="no Athens")


@pytest.mark.parametrize(
    ("before", "result", "worse", "better"),
    [
        (FINE, FINE, [], []),
        (FINE, FEWER, [], []),
        (FINE, FALSE, ["live: false a"], []),
        (FALSE, FINE, [], ["live: false a"]),
        (FALSE, FALSE, [], []),
        (FALSE, BLIND, ["packets: not observable"], ["live: false a"]),
        (FINE, BAD_EXIT, ["command"], []),
        (FINE, BROKEN, ["command"], []),
        (FALSE, BROKEN, ["command"], []),
        (FINE, SKIPPED, [], []),
        (SKIPPED, FALSE, [], []),
        (None, FALSE, [], []),
        (None, BAD_EXIT, ["command"], []),
        (None, BROKEN, ["command"], []),
        (OLDER, FALSE, [], []),
    ],
)
def test_worse_and_better(before: Result | None, result: Result, worse: list[str], better: list[str]) -> None:
    assert board.worse(result, before) == worse
    assert board.better(result, before) == better


@pytest.mark.parametrize(
    ("before", "result", "kept", "accepted"),
    [
        (None, FALSE, True, True),
        (None, BAD_EXIT, False, True),
        (None, SKIPPED, True, True),
        (None, BROKEN, False, False),
        (FINE, FEWER, False, True),
        (FINE, FALSE, False, True),
        (FALSE, FINE, True, True),
        (FALSE, BLIND, False, True),
        (FINE, SKIPPED, False, False),
        (FINE, BROKEN, False, False),
        (SKIPPED, FINE, True, True),
    ],
)
def test_only_what_is_better_is_committed(before: Result | None, result: Result, kept: bool, accepted: bool) -> None:
    assert board.takes_over(result, before) == kept
    assert board.takes_over(result, before, accept=True) == accepted


def test_a_scenario_that_cannot_run_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers.shutil, "which", lambda program: None)
    result = board.play("mirror-dead", tmp_path)
    assert "nginx not found" in result.skipped
    assert not list(tmp_path.iterdir())


def test_results_are_read_back_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(board, "PAGE", tmp_path / "page.md")
    assert board.committed() == {}
    written = {"expired": FALSE, "healthy-100": BAD_EXIT, "mirror-dead": SKIPPED}
    board.keep(written | {"no-longer-a-scenario": FINE})
    assert board.committed() == written
    assert len((tmp_path / "results.json").read_text().splitlines()) == len(written) + 2
    assert (tmp_path / "page.md").read_text() == board.page(written)


def test_page_counts_and_marks() -> None:
    hidden = {"live": Score(right=2, expected="a"), "bundle": Score(right=2, expected="a"),
              "packets": Score(unseen=1), "keys": Score(right=2, expected="a"), "beyond": Score()}  # fmt: skip
    page = board.page({"x": FALSE, "y": Result(scores=hidden), "z": SKIPPED})
    assert "the 3 scenarios of the lab (1 skipped" in page
    assert "In 1 scenarios packets alone" in page
    assert "| live: the run itself | 5 of 5 (100 %) | 0 | 0 | 0 | 2 of 2 (100 %) | 0 | 1 |" in page
    assert "| packets: the client's packets alone | 3 of 3 (100 %) | 1 | 0 | 0 | 2 of 2 (100 %) | 0 | 0 |" in page
    assert "| x | – | 3/3 ✗ false a | 3/3 | 3/3 | 3/3 | 3/3 |" in page
    assert "| y | `a` | 2/2 | 2/2 | 1 not observable, shows – | 2/2 | – |" in page
    assert "| z | – | skipped: no Athens |" in page


def test_notes_are_told_once_and_not_without_end() -> None:
    said = Score(notes=("a is wrong",))
    result = Result(notes=("exit 1, not 0",), scores={"live": said, "bundle": said, "packets": Score(notes=("b",))})
    assert result.told == ["exit 1, not 0", "live, bundle: a is wrong", "packets: b"]
    many = Result(scores={"live": Score(notes=tuple(map(str, range(board.MAX_NOTES + 2))))})
    assert many.told[board.MAX_NOTES :] == ["… 2 more"]


def test_a_third_stands_for_every_family() -> None:
    chosen = board.representative()
    families = {name: board.family(scenario.load(name)) for name in scenario.names()}
    assert {families[name] for name in chosen} == set(families.values())
    assert len(chosen) <= len(families) / board.PART + len(set(families.values()))
    assert {"healthy", "tls", "transport", "names", "proxy", "go"} <= set(families.values())


def test_committed_results_are_of_scenarios_that_exist() -> None:
    results = board.committed()
    assert results.keys() <= set(scenario.names())
    assert all(result.scores.keys() <= KINDS.keys() for result in results.values() if not result.skipped)


def test_what_packets_hide_has_its_reason() -> None:
    for one in map(scenario.load, scenario.names()):
        if one.truth.packets.cause != one.truth.cause:
            assert scenario.hidden_because(one.name), one.name


def test_first_causes_from_packets_are_counted() -> None:
    lines = board.page(board.committed()).partition("## First causes")[2].splitlines()
    counts = [int(line.split("|")[2]) for text in board.SHOWN for line in lines if line.startswith(f"| {text} |")]
    causes = [one for one in board.committed().values() if one.scores and one.scores["live"].expected]
    assert sum(counts) == len(causes)
    assert len([line for line in lines if line.count("|") == 5]) - 2 == counts[1] + counts[2]

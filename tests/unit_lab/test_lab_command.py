"""`python -m lab score`: what it prints, writes and ends with, given results of runs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import board
from lab.__main__ import main
from lab.board import Result
from lab.score import KINDS, Score

RIGHT = Result(scores={kind: Score(right=1) for kind in KINDS})
WRONG = Result(scores=RIGHT.scores | {"live": Score(wrong=1, notes=("a: b, not c",))})

Lab = Callable[..., int]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Runs the command with these results of its runs, in their order."""
    monkeypatch.setattr(board, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(board, "PAGE", tmp_path / "page.md")

    def run(results: list[Result], *words: str) -> int:
        def play(name: str, out: Path, **options: Any) -> Result:
            return results.pop(0)

        monkeypatch.setattr(board, "play", play)
        monkeypatch.setattr(sys, "argv", ["lab", "score", "--out", str(tmp_path / "out"), "--jobs", "1", *words])
        return main()

    return run


def test_better_is_written_and_worse_is_not(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab([WRONG, RIGHT], "expired", "mirror-dead") == 0
    assert lab([RIGHT, WRONG], "expired", "mirror-dead") == 1
    told = capsys.readouterr().out
    assert "        better: live: wrong\n" in told
    assert "WORSE mirror-dead" in told
    assert "        live: a: b, not c\n        worse: live: wrong\n" in told
    assert "2 scenarios, 0 skipped, 1 worse than before\n" in told
    assert board.committed() == {"expired": RIGHT, "mirror-dead": RIGHT}
    assert board.PAGE.read_text() == board.page(board.committed())


def test_worse_is_written_when_it_is_accepted(lab: Lab) -> None:
    lab([RIGHT], "expired")
    assert lab([WRONG], "expired", "--accept") == 0
    assert board.committed()["expired"].scores["live"].wrong == 1


def test_changed_scenario_is_not_written(lab: Lab) -> None:
    assert lab([RIGHT], "expired", "--change", "limit_s = 1") == 0
    assert not board.RESULTS.exists()


def test_repeat_says_which_runs_differ(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab([RIGHT, WRONG, RIGHT], "expired", "--repeat", "3") == 1
    assert capsys.readouterr().out == (
        "expired-1: live: wrong\n        live: a: b, not c\n"
        "3 runs of 1 scenarios, 1 unlike the first of their scenario\n"
    )
    assert not board.RESULTS.exists()


def test_unknown_scenario_is_refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        lab([], "mirror-alive")
    assert stop.value.code == 2
    assert "no scenario is called mirror-alive" in capsys.readouterr().err

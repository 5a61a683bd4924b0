"""The captures that are shipped tell what the scoreboard says of their scenarios."""

from pathlib import Path

import pytest

from lab import board, runs, scenario
from lab.score import score

FOLDER = runs.ROOT / "captures"
KINDS = {".pcap": "packets", ".zip": "bundle"}
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in KINDS)


def test_every_scenario_with_captures_has_them_and_no_other() -> None:
    loaded = map(scenario.load, scenario.names())
    declared = {f"{one.name}.{kind}" for one in loaded if one.capture for kind in one.capture.keep}
    assert {path.name for path in FILES} == declared


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_capture_tells_what_its_scenario_is_about(path: Path) -> None:
    kind, truth = KINDS[path.suffix], scenario.load(path.stem).truth
    told = score(kind, runs.read(path), truth, [])
    assert told.flaws <= board.committed()[path.stem].scores[kind].flaws, told.notes

"""What the documentation says exists: its generated parts, the files it links to, the commands it shows."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_go.cli.main import COMMANDS, _parser

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "captures/README.md", "docs/checks.md", "docs/scoreboard.md")
README = (ROOT / "README.md").read_text("utf-8")
CODE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def shown_commands() -> Iterator[list[str]]:
    """The trace-go commands of README's code blocks, as words after `trace-go`."""
    for block in CODE.findall(README):
        for line in block.splitlines():
            if line.startswith("$ "):
                for part in line[2:].split(" | "):
                    words = shlex.split(part.removeprefix("sudo "))
                    if words[0] == "trace-go":
                        yield words[1:]


def test_generated_parts_are_in_step() -> None:
    command = [sys.executable, str(ROOT / "scripts/readme.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_readme_shows_every_way_to_start() -> None:
    started = {words[0] for words in shown_commands()}
    assert {"read", "live", "--"} <= started


@pytest.mark.parametrize("words", list(shown_commands()), ids=" ".join)
def test_shown_command_is_accepted(words: list[str]) -> None:
    name = words[0] if words[0] in COMMANDS else "run"
    own = words[1:] if name in COMMANDS else words[: words.index("--")]
    _parser(name).parse_args(own)
    if name == "run":
        assert words[words.index("--") + 1 :]


def test_named_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = {target for targets in re.findall(r"(?:`|\$ )make ([a-z -]+)", text) for target in targets.split()}
    assert {"demo", "test"} <= named <= set(targets)


def test_every_shipped_capture_is_listed() -> None:
    text = (ROOT / "captures/README.md").read_text()
    files = [path for path in (ROOT / "captures").iterdir() if path.suffix in (".pcap", ".zip")]
    assert files
    for path in files:
        assert f"({path.name})" in text
        assert path.stat().st_size <= 200_000


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements-*.lock")), ids=lambda path: path.name)
def test_lock_names_versions_only(lock: Path) -> None:
    """No index, host or path of the machine that resolved it."""
    for line in lock.read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [\w. ='<>!]+)?", line)
        assert "/" not in line

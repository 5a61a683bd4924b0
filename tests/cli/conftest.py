"""Running trace-go as users do, and in this process where only its output counts."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec import Struct

from trace_go.cli.main import main

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "captures"
TIMEOUT_S = 60


class Done(Struct, frozen=True, kw_only=True):
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The only line on standard error."""
        assert self.err.count("\n") == 1, self.err
        return self.err.removesuffix("\n")


Run = Callable[..., Done]


@pytest.fixture
def captures() -> Path:
    return CAPTURES


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without trace-go.toml, and no variable that changes a report."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "GOFLAGS", "GODEBUG", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Run:
    """`trace-go ARGUMENTS` in this process."""

    def run(*arguments: str | Path) -> Done:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        return Done(code=code, out=out, err=err)

    return run


@pytest.fixture
def traced() -> Run:
    """`trace-go ARGUMENTS` as a process of its own."""

    def run(*arguments: str | Path, data: bytes = b"", env: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "trace_go", *map(str, arguments)],
            input=data,
            capture_output=True,
            env={**os.environ, "PYTHONUTF8": "1", **(env or {})},
            timeout=TIMEOUT_S,
            check=False,
        )
        return Done(
            code=done.returncode, out=done.stdout.decode("utf-8", "replace"), err=done.stderr.decode("utf-8", "replace")
        )

    return run

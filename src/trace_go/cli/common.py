"""What the subcommands share: options from arguments, progress, writing the report, the exit status."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from msgspec.structs import replace

from trace_go.capture.merge import Progress
from trace_go.checks.discovery import discover
from trace_go.gocmd.config import Config, load_config
from trace_go.model.errors import ConfigError, TraceGoError
from trace_go.model.finding import Severity
from trace_go.model.report import Report
from trace_go.pipeline import Options
from trace_go.report.escape import clean
from trace_go.trust.store import choose, file_store, kept_store

CONFIG_NAME = "trace-go.toml"
MAX_CONFIG_BYTES = 32 << 10
"""ours: 1,000 hosts; a bundle's configuration may be hostile, and tomllib takes square time for `a.a.a.…`"""
MAX_GO_SUM_BYTES = 16 << 20
"""as a bundle takes; large monorepos have 1 MB"""
PROGRESS_AFTER_S = 1.0
"""reading that takes longer shows a progress bar"""


class Reporter(Protocol):
    """The signature that all reporters share."""

    def render(self, report: Report, out: TextIO) -> None: ...


def options(
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    *,
    probe: bool,
    trust: Path | None = None,
    site: Config | None = None,
) -> Options:
    """Options of an analysis. Raises ConfigError.

    environment: the command's, for its trust store and proxies. trust, site: what a bundle kept, in place of this
    machine's trust store and configuration.
    """
    if arguments.select or arguments.ignore:
        known = {check.id for check in discover()}
        for name in (*arguments.select, *arguments.ignore):
            if name not in known:
                raise ConfigError(f"no check is called {name!r}; `trace-go checks` lists them")
    if site is None:  # a bundle's may be of another version
        site = config(config_file(arguments.config))
        _expect_known(site)
    kept = trust if arguments.trust == "system" else None
    return Options(
        store=kept_store(kept, "system") if kept else choose(arguments.trust, environment),
        config=site,
        public_store=file_store(Path(site.public_roots)) if site.public_roots else None,
        select=tuple(arguments.select),
        ignore=tuple(arguments.ignore),
        probe_environment=environment if probe else None,
    )


def _expect_known(site: Config) -> None:
    """Raises ConfigError when [[suppress]] names a check that does not exist: nothing would be suppressed."""
    if site.suppress:
        known = {check.id for check in discover()}
        for rule in site.suppress:
            if rule.check != "*" and rule.check not in known:
                raise ConfigError(f"suppress: no check is called {rule.check!r}; `trace-go checks` lists them")


def config_file(path: str | None) -> Path | None:
    """The file of --config, else ./trace-go.toml when there is one."""
    return Path(path) if path else Path(CONFIG_NAME) if Path(CONFIG_NAME).is_file() else None


def config(file: Path | None, name: str = "") -> Config:
    """A configuration file's content, or nothing configured. Raises ConfigError, which calls it by `name`."""
    if file is None:
        return Config()
    try:
        with file.open("rb") as data:
            raw = data.read(MAX_CONFIG_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{name or file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name or file}: no UTF-8 text (byte {error.start})") from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{name or file}: over {MAX_CONFIG_BYTES:,} bytes, which no site needs")
    try:
        found = load_config(text)
    except ConfigError as error:
        raise ConfigError(f"{name or file}: {error}") from error
    if found.public_roots:
        return replace(found, public_roots=str(file.parent / found.public_roots))
    return found


def expect_output(arguments: argparse.Namespace) -> None:
    """Raises TraceGoError when -o names a file that cannot be written, before there is anything to write."""
    if not arguments.output:
        return
    path = Path(arguments.output)
    reason = None
    if path.is_dir():
        reason = "is a directory"
    elif not path.parent.is_dir():
        reason = f"there is no directory {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = "not allowed"
    if reason:
        raise TraceGoError(f"cannot write the report to {arguments.output}: {reason}")


def write(report: Report, arguments: argparse.Namespace, out: TextIO) -> None:
    """Render to -o or `out`. Raises TraceGoError when the file cannot be written, and the report then goes to `out`."""
    if not arguments.output:
        _reporter(arguments, out).render(report, out)
        out.flush()
        return
    try:
        with Path(arguments.output).open("w", encoding="utf-8") as file:
            _reporter(arguments, file).render(report, file)
    except OSError as error:
        _reporter(arguments, out).render(report, out)
        raise TraceGoError(f"cannot write the report to {arguments.output}: {error.strerror or error}") from error


def _reporter(arguments: argparse.Namespace, out: TextIO) -> Reporter:
    if arguments.format == "json":
        from trace_go.report.json import JsonReporter

        return JsonReporter()
    from trace_go.report.terminal import TerminalReporter

    return TerminalReporter(color=colored(arguments.color, out), verbose=arguments.verbose)


def colored(choice: str, out: TextIO) -> bool:
    """Whether to colour `out`. NO_COLOR (no-color.org) counts unless an option says otherwise."""
    if choice != "auto":
        return choice == "always"
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def go_sum(file: Path | None) -> tuple[tuple[str, str, str], ...]:
    """The hashes of a go.sum; none when it cannot be read."""
    if file is None:
        return ()
    from trace_go.wire.modhash import sums

    try:
        with file.open("rb") as data:
            return sums(data.read(MAX_GO_SUM_BYTES).decode("utf-8", "replace"))
    except OSError:
        return ()


def tell_of_keys(report: Report) -> None:
    """What was wrong with the key logs, on standard error."""
    for note in report.case.keys.notes if report.case.keys else ():
        print(f"trace-go: {clean(note, 1000)}", file=sys.stderr)


def status(report: Report, fail_on: str | None) -> int:
    """0, 1 for findings at or above fail_on, 2 when an input could not be read to its end, which it tells."""
    problems = [(item.name, item.problem) for item in report.case.files if item.problem]
    for name, problem in problems:
        text = problem if problem.startswith(f"{name}: ") else f"{name}: {problem}"
        print(f"trace-go: {clean(text, 1000)}", file=sys.stderr)
    if problems:
        return 2
    return int(exceeds(report, fail_on))


def exceeds(report: Report, fail_on: str | None) -> bool:
    return fail_on is not None and any(item.severity.rank <= Severity(fail_on).rank for item in report.findings)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress callback that shows a bar on standard error once reading takes long, and only on a terminal."""
    started, bar = time.monotonic(), None

    def show(name: str, done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:
            if time.monotonic() - started < PROGRESS_AFTER_S or not sys.stderr.isatty():
                return
            bar = _Bar()
        bar.update(name, done, total)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        self._tasks: dict[str, int] = {}

    def update(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = int(self._progress.add_task(f"reading {clean(name, 60)}", total=total))
        self._progress.update(self._tasks[name], completed=done)  # type: ignore[arg-type]  # TaskID is an int

    def close(self) -> None:
        self._progress.stop()

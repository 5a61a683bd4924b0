"""`trace-go -- CMD`: runs CMD under observation and reports on its module downloads, on standard error or to -o."""

import argparse
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec.structs import replace

from trace_go.capture.bundle import (
    CONFIG,
    PUBLIC_ROOTS,
    Bundle,
    capture_path,
    is_bundle,
    kept_environment,
    write_bundle,
)
from trace_go.capture.go_env import GoEnv, go_env
from trace_go.capture.live import Capture, best_capture
from trace_go.capture.masking import mask_credentials
from trace_go.capture.processes import SocketSampler
from trace_go.capture.run import run
from trace_go.capture.settings import settings_files
from trace_go.capture.user import invoking_user, user_environment
from trace_go.cli import common
from trace_go.cli.keys import Keyed, logged, prepare, write_into
from trace_go.cli.logs import read_log, told_apart_at_once
from trace_go.flows.credentials import Credentials
from trace_go.gocmd.asking import asking
from trace_go.gocmd.log import LogReader
from trace_go.model.errors import CaptureError, ConfigError, PrivilegeError, TraceGoError
from trace_go.model.flow import Traffic
from trace_go.model.go import GoAccount, GoLog
from trace_go.pipeline import Options, Source, judge, observe, probe
from trace_go.report.escape import clean
from trace_go.wire.secrets import mask_env, mask_text

CAPTURE_NAME = "this run"


def main(arguments: argparse.Namespace) -> int:
    environment = user_environment()
    common.expect_output(arguments)
    if arguments.write_keys and not (arguments.keys and arguments.write):
        raise ConfigError("--write-keys goes with --keys and -w")
    options = common.options(arguments, environment, probe=not arguments.no_probe)
    notes: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trace-go-")))
        path = capture_path(arguments.write) if arguments.write else folder / "capture.pcapng"
        capture = None if arguments.no_capture else _opened(path, notes)
        go = go_env(environment, invoking_user(), Path.cwd())
        asked = asking(
            arguments.command,
            environment,
            go.values.get("GOFLAGS", environment.get("GOFLAGS", "")),
            x=not arguments.no_x,
            http2=not arguments.no_http2debug,
        )
        keyed = _keyed(arguments, environment, go, capture is not None, stack, notes)
        capture = _started(capture, notes)
        sampler = SocketSampler()
        result = run(
            keyed.command if keyed else arguments.command,
            environment=environment,
            extra={**asked.environment, **(keyed.environment if keyed else {})},
            line_filter=LogReader(expect_x=asked.expect_x, expect_http2=asked.expect_http2).feed,
            swallow=told_apart_at_once(expect_x=asked.expect_x, expect_http2=asked.expect_http2),
            log_path=folder / "go.log",
            on_spawn=sampler.start,
        )
        owners = sampler.stop()
        stats = capture.stop() if capture else None
        if result.pid is None:
            print(f"trace-go: cannot run {clean(result.problem or '')}", file=sys.stderr)
            return result.exit_code
        with _survived():
            log = read_log(folder / "go.log", expect_x=asked.expect_x, expect_http2=asked.expect_http2)
            notes += [text for text in (go.note, result.problem, stats.problem if stats else None, *asked.why) if text]
            account = GoAccount(
                argv=tuple(mask_text(word) for word in arguments.command),
                exit_code=result.exit_code,
                started_ns=result.started_ns,
                ended_ns=result.ended_ns,
                go_env={name: mask_env(name, value) for name, value in go.values.items()},
                go_env_changed=go.changed,
                process_env=kept_environment(environment),
                settings_files=settings_files(environment, go.values, invoking_user()),
                log=_masked(log),
                go_sum=common.go_sum(_present("go.sum")),
                notes=tuple(notes),
            )
            source = Source(
                captures=(str(path),) if capture else (),
                names=(CAPTURE_NAME,),
                account=account,
                owners=owners,
                key_logs=logged(keyed),
            )
            observed = observe(source)
            if keyed and source.key_logs and arguments.write_keys:
                _write_keys(path, keyed, observed.traffic)
            probes = probe(source, observed, options)
            report = judge(source, observed, options, probes)
            if arguments.write:
                bundle = Bundle(
                    account=account,
                    asked_x=asked.expect_x,
                    asked_http2=asked.expect_http2,
                    owners=owners,
                    stats=stats,
                    probes=probes,
                    capture=path if capture else None,
                    log=folder / "go.log",
                    go_mod=_present("go.mod"),
                    go_sum=_present("go.sum"),
                    trust=_trust(options, folder),
                    config=_site(common.config_file(arguments.config), folder),
                    public_roots=Path(options.config.public_roots) if options.config.public_roots else None,
                )
                _keep(arguments.write, bundle)
            common.write(report, arguments, sys.stderr)
            if arguments.fail_on and not result.exit_code:
                return int(common.exceeds(report, arguments.fail_on))
    return result.exit_code


@contextmanager
def _survived() -> Iterator[None]:
    """What fails once the command is over is told and no more: the exit status is the command's."""
    try:
        yield
    except TraceGoError as error:
        print(f"trace-go: {clean(str(error), 1000)}", file=sys.stderr)
    except Exception:  # noqa: BLE001 -- a bug of ours must not fail a build that worked
        traceback.print_exc()


def _masked(log: GoLog) -> GoLog:
    """Errors as a bundle keeps them."""
    return replace(log, errors=tuple(replace(item, text=mask_text(item.text)) for item in log.errors))


def _opened(path: Path, notes: list[str]) -> Capture | None:
    """A capture that is being opened; None, with the reason told and noted, when the machine does not allow one."""
    try:
        return best_capture(path)
    except PrivilegeError as error:
        _say_refused(error, notes)
        return None


def _started(capture: Capture | None, notes: list[str]) -> Capture | None:
    """The capture, running from now on."""
    try:
        if capture:
            capture.start()
    except PrivilegeError as error:
        _say_refused(error, notes)
        return None
    return capture


def _keyed(
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    go: GoEnv,
    captured: bool,
    stack: ExitStack,
    notes: list[str],
) -> Keyed | None:
    if not arguments.keys:
        return None
    if not captured:
        notes.append("no keys: there are no packets to open")
        return None
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trace-go-")))
    return prepare(arguments.command, environment, go, place, notes)


def _write_keys(path: Path, keyed: Keyed, traffic: Traffic) -> None:
    """A failure is told and does not hide the report."""
    try:
        write_into(path, keyed, traffic)
    except CaptureError as error:
        print(f"trace-go: {clean(str(error))}", file=sys.stderr)


def _say_refused(error: PrivilegeError, notes: list[str]) -> None:
    print(f"trace-go: no packets: {clean(str(error))}", file=sys.stderr)
    notes.append(f"no packets: {error}")


def _trust(options: Options, folder: Path) -> Path:
    path = folder / "trust.pem"
    path.write_text(options.store.pem())
    return path


def _site(config: Path | None, folder: Path) -> Path | None:
    """A copy of the configuration that names its public roots as the bundle does."""
    if config is None:
        return None
    copy = folder / CONFIG
    copy.write_text(
        re.sub(r"(?m)^(\s*public-roots\s*=).*", rf'\1 "{PUBLIC_ROOTS}"', config.read_text("utf-8")), "utf-8"
    )
    return copy


def _present(name: str) -> Path | None:
    path = Path(name)
    return path if path.is_file() and os.access(path, os.R_OK) else None


def _keep(destination: str, bundle: Bundle) -> None:
    """Write what -w names, without credentials; a failure is told and does not hide the report."""
    try:
        if bundle.capture:
            mask_credentials(bundle.capture, Credentials())
        if is_bundle(destination):
            write_bundle(destination, bundle)
    except CaptureError as error:
        print(f"trace-go: {clean(str(error))}", file=sys.stderr)

"""`trace-go --keys`: the command runs with a twin of go that logs its TLS keys, found before the stock one in PATH."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from trace_go.capture import twin
from trace_go.capture.go_env import GoEnv
from trace_go.capture.keys import KeyRing
from trace_go.capture.twin import TwinError
from trace_go.capture.user import invoking_user, private_file
from trace_go.capture.writer import copy_with_secrets
from trace_go.model.errors import CaptureError
from trace_go.model.flow import Traffic
from trace_go.report.escape import clean

VARIABLE = "SSLKEYLOGFILE"
"""honoured by the twin, and by the TLS libraries of git and curl"""


class Keyed(Struct, frozen=True, kw_only=True):
    """What changes for a command that shall log its keys."""

    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    own: bool
    """the log holds this run's keys only; False: the user has a log for everything"""
    twin: bool
    """go logs its keys; why not has been told"""


def prepare(command: Sequence[str], environment: Mapping[str, str], go: GoEnv, place: Path, notes: list[str]) -> Keyed:
    """Where no twin can be had, that is told and noted, and programs that log their keys by themselves still do.

    place: an empty folder of the run, which becomes the user's and must go when the run is over.
    """
    user, said = invoking_user(), environment.get(VARIABLE)
    if user is not None:
        os.chown(place, user.uid, user.gid)
    log = Path(said) if said else place / "keys.log"
    if not said:
        private_file(log).close()
    changes = {VARIABLE: str(log)}
    words, had = list(command), False
    try:
        found = twin.which("go", environment)
        if found is None:
            raise TwinError("go is not in PATH")
        home = Path(user.home if user else environment.get("HOME") or Path.home())
        cache = twin.cache_folder(environment, home)
        toolchains, unknown = twin.selected(found, environment, user, Path.cwd())
        if unknown:
            _tell(f"no keys of the go that go.mod selects: {unknown}", notes)
        for number, toolchain in enumerate(toolchains):
            made = twin.twin(
                toolchain,
                environment,
                cache,
                user,
                build_cache=go.values.get("GOCACHE", ""),
                progress=lambda text: print(f"trace-go: {clean(text)}", file=sys.stderr, flush=True),
            )
            for name in ("go", toolchain.version)[number > 0 :]:
                (place / name).symlink_to(made)
            if number == 0 and _is_go(words[0], (found, toolchain.go)):
                words[0] = str(place / "go")
        changes["PATH"] = os.pathsep.join([str(place), environment.get("PATH", os.defpath)])
        had = True
    except TwinError as error:
        _tell(f"no keys of go: {error}", notes)
    return Keyed(command=words, environment=changes, log=log, own=not said, twin=had)


def _tell(text: str, notes: list[str]) -> None:
    print(f"trace-go: {clean(text)}", file=sys.stderr)
    notes.append(text)


def logged(keyed: Keyed | None) -> tuple[str, ...]:
    """The key log, when anything is in it; says so when not."""
    if keyed is None:
        return ()
    if keyed.log.is_file() and keyed.log.stat().st_size:
        return (str(keyed.log),)
    if keyed.twin:
        print("trace-go: no keys: no program logged any", file=sys.stderr)
    return ()


def write_into(capture: Path, keyed: Keyed, traffic: Traffic) -> None:
    """Put the keys into the capture, in place. Of a log that is not the run's own, those of its connections.

    Raises CaptureError.
    """
    part = capture.with_name(f".{capture.name}.{os.getpid()}.part")
    try:
        if keyed.own:
            text = keyed.log.read_bytes()
        else:
            log = KeyRing([str(keyed.log)]).log
            text = log.lines_of(flow.tls.client_random for flow in traffic.flows if flow.tls) if log else b""
        with capture.open("rb") as source, private_file(part) as out:
            written = copy_with_secrets(source, text, out)
        if written:
            part.replace(capture)
    except OSError as error:
        raise CaptureError(f"the keys cannot be written into {capture}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    if not written:
        raise CaptureError(f"the keys cannot be written into {capture}: it is no pcapng")


def _is_go(word: str, known: Sequence[str | Path]) -> bool:
    """Whether the command names the go program by a path; one without is found in PATH."""
    if os.sep not in word:
        return False
    try:
        return any(Path(word).samefile(path) for path in known)
    except OSError:
        return False

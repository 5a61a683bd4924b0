"""A key-logging twin of the user's own go command: the same sources, built by the same toolchain, plus one function.

The function is called where crypto/tls would hand a secret to its KeyLogWriter and there is none, and appends the line
to the file that SSLKEYLOGFILE names. Nothing else differs, nor does the ClientHello. Twins are kept in the user's
cache, by the identity of their toolchain; nothing is fetched. Sources: crypto/tls/common.go (writeKeyLog),
cmd/go/internal/cfg (findGOROOT), cmd/go/internal/toolchain (Exec looks in PATH for `go1.N.M` before it uses a
downloaded toolchain).
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from trace_go.capture.user import User, private_folder

BUILD_LIMIT_S = 600.0
"""15 to 40 s cold on two cores; a small shared machine may need ten times that"""
ASK_LIMIT_S = 10.0
_FORMAT = 1
"""of what is built; a change makes every twin anew"""
_GUARD = re.compile(r"(if c\.KeyLogWriter == nil \{\s*return )nil\b")
_DEFAULT_GODEBUG = re.compile(r"^\tbuild\tDefaultGODEBUG=(\S+)$", re.MULTILINE)
_NAME = re.compile(r"go1[0-9A-Za-z._-]*")
_KEPT = frozenset({"GOCACHE", "GOPATH", "GOMODCACHE", "GOTMPDIR"})
"""the go settings of the user that a build needs; all others could change what is built"""
_FUNCTION = """package tls

import (
	"encoding/hex"
	"os"
)

func traceGoKeyLog(label string, clientRandom, secret []byte) error {
	name := os.Getenv("SSLKEYLOGFILE")
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil
	}
	defer file.Close()
	file.WriteString(label + " " + hex.EncodeToString(clientRandom) + " " + hex.EncodeToString(secret) + "\\n")
	return nil
}
"""


class TwinError(Exception):
    """One line: why there is no twin."""


class Toolchain(Struct, frozen=True, kw_only=True):
    goroot: Path
    version: str
    """`go1.27.3`"""

    @property
    def go(self) -> Path:
        return self.goroot / "bin" / "go"


def selected(go: str, environment: Mapping[str, str], user: User | None, cwd: Path) -> tuple[list[Toolchain], str]:
    """The toolchain of the `go` in PATH, and the one it would switch to in `cwd`; why that one is not known, or "".

    One that must be downloaded first is not. Raises TwinError when there is no go to ask.
    """
    found, unknown = list[Toolchain](), ""
    for changes in ({"GOTOOLCHAIN": "local"}, {"GOPROXY": "off"}):
        try:
            answer = _run(
                [go, "env", "-json", "GOROOT", "GOVERSION"], {**environment, **changes}, user, cwd, ASK_LIMIT_S
            )
            said = json.loads(answer)
            one = Toolchain(goroot=Path(said["GOROOT"]), version=said["GOVERSION"].split()[0])
        except (TwinError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            unknown = str(error)
            continue
        if one not in found and _NAME.fullmatch(one.version):
            found.append(one)
    if not found:
        raise TwinError("`go env` names no toolchain of a released Go")
    return found, unknown


def twin(
    toolchain: Toolchain,
    environment: Mapping[str, str],
    cache: Path,
    user: User | None,
    *,
    build_cache: str = "",
    progress: Callable[[str], None],
) -> Path:
    """The twin of a toolchain's go command, built when it is not in `cache` yet. Raises TwinError.

    build_cache: the user's GOCACHE, where that is not in the environment.
    """
    place = cache / "twins" / _identity(toolchain)
    made = place / "go"
    try:
        for folder in (cache, cache / "twins", place):
            _folder(folder, user)
    except OSError as error:
        raise TwinError(f"{error.filename or place}: {error.strerror or error}") from error
    if made.exists():
        return made
    progress(f"building a {toolchain.version} that logs its TLS keys (once, about half a minute)")
    try:
        with tempfile.TemporaryDirectory(dir=place) as name:
            work = Path(name)
            if user is not None:
                os.chown(work, user.uid, user.gid)
            _build(toolchain, work, environment, user, build_cache)
            (work / "go").replace(made)
    except OSError as error:
        raise TwinError(f"{error.filename or place}: {error.strerror or error}") from error
    return made


def cache_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Where the user's twins are (XDG Base Directory Specification)."""
    named = environment.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else home / ".cache") / "trace-go"


def _build(toolchain: Toolchain, work: Path, environment: Mapping[str, str], user: User | None, cache: str) -> None:
    source = toolchain.goroot / "src" / "crypto" / "tls"
    text, changed = _GUARD.subn(
        r"\1traceGoKeyLog(label, clientRandom, secret)", (source / "common.go").read_text("utf-8")
    )
    if changed != 1:
        raise TwinError(f"the crypto/tls of {toolchain.version} is none that we know")
    (work / "common.go").write_text(text, "utf-8")
    (work / "key_log.go").write_text(_FUNCTION, "utf-8")
    replaced = {str(source / "common.go"): "common.go", str(source / "trace_go_key_log.go"): "key_log.go"}
    overlay = {name: str(work / file) for name, file in replaced.items()}
    (work / "overlay.json").write_text(json.dumps({"Replace": overlay}), "utf-8")
    variables = {
        name: value for name, value in environment.items() if not name.startswith(("GO", "CGO")) or name in _KEPT
    }
    variables |= {"GOROOT": "", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GOENV": "off"}
    variables |= {"GOPROXY": "off", "CGO_ENABLED": "0"} | ({"GOCACHE": cache} if cache else {})
    command = [str(toolchain.go), "build", "-overlay", str(work / "overlay.json"), "-o", str(work / "go")]
    flags = f"-w{_defaults(toolchain, variables, user, work)}"
    _run([*command, f"-ldflags={flags}", "cmd/go"], variables, user, work, BUILD_LIMIT_S)
    said = _run([str(work / "go"), "version"], variables, user, work, ASK_LIMIT_S)
    if said.split()[2:3] != [toolchain.version]:
        raise TwinError(f"the twin of {toolchain.version} calls itself {said.strip()[:60]!r}")


def _defaults(toolchain: Toolchain, variables: Mapping[str, str], user: User | None, work: Path) -> str:
    """The linker flag for the GODEBUG that the shipped binary was built with; 1.21 to 1.23 have one."""
    said = _run([str(toolchain.go), "version", "-m", str(toolchain.go)], variables, user, work, ASK_LIMIT_S)
    found = _DEFAULT_GODEBUG.search(said)
    return f" -X=runtime.godebugDefault={found[1]}" if found else ""


def _identity(toolchain: Toolchain) -> str:
    """A name that changes with the toolchain: its place, version, and go program."""
    try:
        facts = toolchain.go.stat()
        told = (toolchain.goroot / "VERSION").read_text("utf-8", "replace")
    except OSError as error:
        raise TwinError(f"{error.filename}: {error.strerror}") from error
    parts = (_FORMAT, toolchain.goroot.resolve(), toolchain.version, told, facts.st_size, facts.st_mtime_ns)
    return f"{toolchain.version}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def _folder(path: Path, user: User | None) -> None:
    """A folder of our user's alone, with those above it: what is in it will be run. Raises TwinError for another's."""
    for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
        private_folder(missing)
    status = path.stat()
    if status.st_mode & 0o022 or status.st_uid != (user.uid if user else os.geteuid()):
        raise TwinError(f"{path} can be written by others")


def _run(command: Sequence[str], variables: Mapping[str, str], user: User | None, cwd: Path, limit_s: float) -> str:
    """Standard output of a command as the user. Raises TwinError with the last line of what it said."""
    try:
        done = subprocess.run(
            command, env=dict(variables), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s,
            check=False, user=user.uid if user else None, group=user.gid if user else None,
            extra_groups=user.groups if user else None,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TwinError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise TwinError(f"`{' '.join(Path(word).name for word in command[:2])}` failed: {said or done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def which(go: str, environment: Mapping[str, str]) -> str | None:
    return shutil.which(go, path=environment.get("PATH", os.defpath))

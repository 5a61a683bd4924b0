"""A run kept whole: the capture, the command's log and what was known of its environment, as a folder or a zip file.

Members have fixed names. Secrets are masked in everything but the packets. A bundle is sent between people, so reading
one trusts nothing: sizes are capped, names in the archive are not used, and members are unpacked into a private folder.
"""

import json
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Annotated, BinaryIO

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import asdict

from trace_go import __version__
from trace_go.capture.processes import Addresses
from trace_go.capture.run import MAX_LINE_BYTES, MAX_LOG_BYTES
from trace_go.capture.source import CaptureStats
from trace_go.capture.user import private_file, private_folder
from trace_go.model.errors import CaptureError
from trace_go.model.go import GoAccount, SettingsFile
from trace_go.model.numbers import Natural
from trace_go.model.probe import ProbeResult
from trace_go.wire.secrets import mask_env, mask_text

FORMAT = 1
CAPTURE, LOG, FACTS, GO_MOD, GO_SUM = "capture.pcapng", "go.log", "bundle.json", "go.mod", "go.sum"
# Whom the run trusted and what its site had configured, so that the same chains are judged alike elsewhere.
TRUST, CONFIG, PUBLIC_ROOTS = "trust.pem", "trace-go.toml", "public-roots.pem"
# The capture's cap is what zipfile.ZIP64_LIMIT allows without the 64-bit extension; a log may grow a little by masking.
MAX_BYTES = {CAPTURE: (1 << 31) - 1, LOG: 2 * MAX_LOG_BYTES, FACTS: 16 << 20, GO_MOD: 16 << 20, GO_SUM: 16 << 20}
MAX_BYTES |= {TRUST: 16 << 20, CONFIG: 1 << 20, PUBLIC_ROOTS: 16 << 20}
# Packets and logs shrink to a tenth at best; a zip bomb of this kind shrinks to a thousandth.
MAX_EXPANSION, FREE_BYTES = 100, 64 << 20
MAX_MEMBERS, MAX_DIRECTORY_BYTES = 16, 16 << 10  # zipfile reads a directory by its size, whatever the number says
MAX_VALUE_CHARS = 128 << 10  # of a variable or an argument; Linux has none that is longer (MAX_ARG_STRLEN)
COPY_BYTES = 1 << 20
_END_OF_DIRECTORY, _END_BYTES = b"PK\x05\x06", 22
_ZIP64_LOCATOR, _ZIP64_LOCATOR_BYTES = b"PK\x06\x07", 20

# What decides how go and git reach the network: their own variables, proxies (with the CGI rule of net/http), trust.
_KEPT = re.compile(
    r"GO(?!OGLE)\w*|CGO_ENABLED|GIT_(?:ALLOW|ASKPASS|CONFIG|HTTP|PROXY|SSH|SSL|TERMINAL)\w*|SSL_CERT_\w+|CURL_CA_BUNDLE"
    r"|(?:HTTPS?|ALL|NO|FTP)_PROXY|REQUEST_METHOD|SSLKEYLOGFILE|NETRC",
    re.IGNORECASE,
)


Value = Annotated[str, Meta(max_length=MAX_VALUE_CHARS)]


class Version(Struct, frozen=True):
    format: Natural


class KeptSettings(Struct, frozen=True, kw_only=True, array_like=True):
    role: str
    path: str
    values: dict[str, Value]


class Facts(Struct, frozen=True, kw_only=True):
    """The member of that name, in JSON."""

    format: Natural
    tool: str
    argv: tuple[Value, ...]
    exit_code: Natural | None
    started_ns: Natural
    ended_ns: Natural
    go_env: dict[str, Value]
    go_env_changed: tuple[str, ...]
    process_env: dict[str, Value]
    settings_files: tuple[KeptSettings, ...] = ()
    notes: tuple[str, ...]
    asked_x: bool
    asked_http2: bool
    owners: tuple[tuple[str, Natural, str, Natural, str], ...]
    stats: CaptureStats | None
    probes: tuple[ProbeResult, ...]


class Bundle(Struct, frozen=True, kw_only=True):
    account: GoAccount
    """without `log`, which is read again from the file of that name"""
    asked_x: bool = False
    """the log was expected to hold `-x` lines"""
    asked_http2: bool = False
    owners: Mapping[Addresses, str] = field(default_factory=dict)
    stats: CaptureStats | None = None
    probes: tuple[ProbeResult, ...] = ()
    tool_version: str = __version__
    capture: Path | None = None
    log: Path | None = None
    go_mod: Path | None = None
    go_sum: Path | None = None
    trust: Path | None = None
    """PEM: the roots that the run judged certificates by"""
    config: Path | None = None
    public_roots: Path | None = None
    unpacked: tempfile.TemporaryDirectory[str] | None = None
    """where the members of a zip file are"""

    def close(self) -> None:
        if self.unpacked is not None:
            self.unpacked.cleanup()


def kept_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The proxy, trust, git and GO* variables, secrets masked."""
    return {name: mask_env(name, value) for name, value in environment.items() if _KEPT.fullmatch(name)}


def is_folder(destination: str) -> bool:
    """Whether `-w` with this value means a bundle in a folder: an existing one, or a name that ends with a slash."""
    return destination.endswith(("/", os.sep)) or Path(destination).is_dir()


def is_bundle(destination: str) -> bool:
    return is_folder(destination) or destination.lower().endswith(".zip")


def capture_path(destination: str) -> Path:
    """Where to capture to while the command runs, so that a run that is killed leaves its packets there.

    Makes the folder of a bundle that is one. Raises CaptureError.
    """
    path = Path(destination)
    if not is_bundle(destination):
        return path
    if not is_folder(destination):
        return path.with_name(f"{path.name}.pcapng")
    try:
        private_folder(path)
    except OSError as error:
        raise CaptureError(f"cannot make {destination}: {error.strerror}") from None
    return path / CAPTURE


def write_bundle(destination: str, bundle: Bundle) -> None:
    """Keep `bundle`, secrets masked. Each file appears whole or not at all. Takes a capture at `capture_path` over.

    Raises CaptureError with one line; what was there stays.
    """
    path = Path(destination)
    try:
        if is_folder(destination):
            private_folder(path)
            _write_members(bundle, lambda name: _replacing(path / name), path)
            return
        with _replacing(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, False, 1) as archive:
            _write_members(bundle, lambda name: archive.open(name, "w"), None)
        if bundle.capture == capture_path(destination):
            bundle.capture.unlink()
    except OSError as error:
        raise CaptureError(f"cannot write {destination}: {error.strerror or error}") from None
    except (zipfile.LargeZipFile, RuntimeError):  # what zipfile raises at 2 GB depends on whether it knew before
        raise CaptureError(f"cannot write {destination}: over 2 GB; keep it as a folder, `-w {path.stem}/`") from None


def maybe_open_bundle(name: str) -> Bundle | None:
    """The bundle in a folder or zip file; None when `name` is something else. Call `close` on it when done.

    Raises CaptureError for a bundle that is damaged or hostile.
    """
    path = Path(name)
    if path.is_dir():
        return _from_folder(path, name, None)
    if not path.is_file():  # also a pipe, of which nothing may be read
        return None
    unpacked = None
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\3\4" or not _directory_is_plain(file):
                return None
            with zipfile.ZipFile(file) as archive:
                if FACTS not in archive.NameToInfo:
                    return None
                unpacked = tempfile.TemporaryDirectory(prefix="trace-go-")
                _unpack(archive, Path(unpacked.name), FREE_BYTES + MAX_EXPANSION * path.stat().st_size)
        bundle = _from_folder(Path(unpacked.name), name, unpacked)
    except CaptureError:
        if unpacked is not None:
            unpacked.cleanup()
        raise
    except _NO_ZIP:
        if unpacked is not None:
            unpacked.cleanup()
        raise CaptureError(f"{name}: damaged zip file") from None
    except OSError as error:
        raise CaptureError(f"{name}: {error.strerror or error}") from None
    return bundle


# What zipfile raises for hostile files, beside OSError: encryption and unknown compression are RuntimeErrors.
_NO_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error, OverflowError)


def _write_members(
    bundle: Bundle, open_member: Callable[[str], AbstractContextManager[IO[bytes]]], folder: Path | None
) -> None:
    """The facts come last: a folder without them is a run that was cut short."""
    plain = ((CAPTURE, bundle.capture), (GO_MOD, bundle.go_mod), (GO_SUM, bundle.go_sum), (TRUST, bundle.trust))
    for name, source in (*plain, (CONFIG, bundle.config), (PUBLIC_ROOTS, bundle.public_roots)):
        if source is not None and (folder is None or source != folder / name):
            with source.open("rb") as data, open_member(name) as out:
                shutil.copyfileobj(data, out, COPY_BYTES)
    if bundle.log is not None:
        with bundle.log.open("rb") as raw, open_member(LOG) as out:
            while line := raw.readline(MAX_LINE_BYTES):
                out.write(mask_text(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
    with open_member(FACTS) as out:
        out.write(json.dumps(msgspec.to_builtins(_facts(bundle)), indent=1).encode("ascii"))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new private file that takes the place of `path` once it is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with private_file(part) as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _facts(bundle: Bundle) -> Facts:
    account = bundle.account
    return Facts(
        format=FORMAT,
        tool=bundle.tool_version,
        argv=tuple(_clean(mask_text(word)) for word in account.argv),
        exit_code=account.exit_code,
        started_ns=account.started_ns,
        ended_ns=account.ended_ns,
        go_env={_clean(name): _clean(mask_env(name, value)) for name, value in account.go_env.items()},
        go_env_changed=tuple(map(_clean, account.go_env_changed)),
        process_env=_cleaned(kept_environment(account.process_env)),
        settings_files=tuple(
            KeptSettings(role=item.role, path=_clean(item.path), values=_cleaned(item.values))
            for item in account.settings_files
        ),
        notes=tuple(_clean(mask_text(note)) for note in account.notes),
        asked_x=bundle.asked_x,
        asked_http2=bundle.asked_http2,
        owners=tuple((*addresses, _clean(owner)) for addresses, owner in bundle.owners.items()),
        stats=bundle.stats,
        probes=bundle.probes,
    )


def _clean(text: str) -> str:
    """Arguments and variables may hold bytes that are no UTF-8; JSON may not."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _cleaned(values: Mapping[str, str]) -> dict[str, str]:
    return {_clean(name): _clean(value) for name, value in values.items()}


def _directory_is_plain(file: BinaryIO) -> bool:
    """Whether the archive's directory is small, judged by its last 22 bytes before anything else is read of it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _END_BYTES - _ZIP64_LOCATOR_BYTES, 0))
    tail = file.read()
    end = tail[-_END_BYTES:]
    members, length = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    plain = end.startswith(_END_OF_DIRECTORY) and end.endswith(b"\0\0") and not tail.startswith(_ZIP64_LOCATOR)
    return plain and members <= MAX_MEMBERS and length <= MAX_DIRECTORY_BYTES


def _unpack(archive: zipfile.ZipFile, folder: Path, room: int) -> None:
    """Members of our names into `folder`, `room` bytes at most."""
    for name, most in MAX_BYTES.items():
        info = archive.NameToInfo.get(name)
        if info is None:
            continue
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile
        with archive.open(info) as member, (folder / name).open("xb") as out:
            left = min(most, room)
            while chunk := member.read(COPY_BYTES):
                left, room = left - len(chunk), room - len(chunk)
                if left < 0:
                    raise CaptureError(f"{archive.filename or 'bundle'}: {name} is too large to be a run's")
                out.write(chunk)


def _from_folder(folder: Path, name: str, unpacked: tempfile.TemporaryDirectory[str] | None) -> Bundle | None:
    files = {member: _member(folder / member, name, most) for member, most in MAX_BYTES.items()}
    facts = files[FACTS]
    if facts is None:
        if files[CAPTURE] is None:
            return None
        note = "the run was cut short: only its packets were kept"
        return Bundle(account=GoAccount(notes=(note,)), capture=files[CAPTURE])
    try:
        raw = facts.read_bytes()
        if (version := msgspec.json.decode(raw, type=Version).format) != FORMAT:
            raise CaptureError(f"{name}: a bundle of format {version}; this trace-go reads {FORMAT}")
        told = msgspec.json.decode(raw, type=Facts)
    except (ValueError, RecursionError):
        raise CaptureError(f"{name}: {FACTS} is damaged") from None
    except OSError as error:
        raise CaptureError(f"{name}: {error.strerror or error}") from None
    return Bundle(
        account=GoAccount(
            argv=told.argv,
            exit_code=told.exit_code,
            started_ns=told.started_ns,
            ended_ns=told.ended_ns,
            go_env=told.go_env,
            go_env_changed=told.go_env_changed,
            process_env=told.process_env,
            settings_files=tuple(SettingsFile(**asdict(item)) for item in told.settings_files),
            notes=told.notes,
        ),
        asked_x=told.asked_x,
        asked_http2=told.asked_http2,
        owners={(local, port, remote, service): owner for local, port, remote, service, owner in told.owners},
        stats=told.stats,
        probes=told.probes,
        tool_version=told.tool,
        capture=files[CAPTURE],
        log=files[LOG],
        go_mod=files[GO_MOD],
        go_sum=files[GO_SUM],
        trust=files[TRUST],
        config=files[CONFIG],
        public_roots=files[PUBLIC_ROOTS],
        unpacked=unpacked,
    )


def _member(path: Path, name: str, most: int) -> Path | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        raise CaptureError(f"{name}: {path.name} is no plain file, or too large")
    return path

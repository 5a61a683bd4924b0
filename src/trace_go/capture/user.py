"""The user behind sudo: whose command we run, whose environment it gets, and who owns the files that we write.

sudo replaces the environment (sudoers(5), env_reset), so what the user had set (GOPROXY, HTTPS_PROXY, PATH, …) is read
from the environment that the sudo process itself was started with.
"""

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

# A command is a handful of processes below its sudo; the walk up ends at pid 1 anyway.
MAX_ANCESTORS = 64
# Set by sudo for the command; what is left of the environment is sudo's own choice of defaults.
SUDO_VARIABLES = ("SUDO_COMMAND", "SUDO_GID", "SUDO_HOME", "SUDO_PS1", "SUDO_TTY", "SUDO_UID", "SUDO_USER")


class User(Struct, frozen=True, kw_only=True):
    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...]


def invoking_user() -> User | None:
    """The user who called sudo, None unless we are root on behalf of somebody else."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd  # not on Windows

    uid = _number(os.environ.get("SUDO_UID"))
    if not uid:
        return None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        gid = _number(os.environ.get("SUDO_GID")) or uid
        name = os.environ.get("SUDO_USER", str(uid))
        return User(name=name, uid=uid, gid=gid, home="/", groups=(gid,))
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(name=entry.pw_name, uid=uid, gid=entry.pw_gid, home=entry.pw_dir, groups=groups)


def user_environment() -> dict[str, str]:
    """The environment that the command would have had without sudo; our own when sudo did not start us."""
    own = dict(os.environ)
    if sys.platform == "win32" or "SUDO_UID" not in own or os.geteuid() != 0:
        return own
    found = _sudo_process()
    if found is not None:
        before, arguments = found
        # `sudo NAME=value trace-go …` and `sudo env NAME=value …`: said for this run, so they win.
        return before | {name: value for name, value in own.items() if f"{name}={value}" in arguments}
    kept = {name: value for name, value in own.items() if name not in SUDO_VARIABLES}
    user = invoking_user()
    if user is None:
        return kept
    return kept | {"HOME": user.home, "USER": user.name, "LOGNAME": user.name}


def private_file(path: Path) -> BinaryIO:
    """Open a new file for writing, mode 0600, owned by the invoking user. An old file of that name is replaced.

    What is no plain file (`/dev/stdout`, a named pipe, a link) is opened as it is. Raises OSError.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return path.open("wb")
        path.unlink()
    except FileNotFoundError:
        pass
    out = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    user = invoking_user()
    if user is not None:
        os.fchown(out.fileno(), user.uid, user.gid)
    return out


def private_folder(path: Path) -> None:
    """Make a folder for our user only, unless it exists. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    user = invoking_user()
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _sudo_process() -> tuple[dict[str, str], set[str]] | None:
    """(environment, arguments) that the nearest sudo above us was started with; None when there is none to be seen."""
    pid = os.getpid()
    for _ in range(MAX_ANCESTORS):
        try:
            process = Path(f"/proc/{pid}")
            if (process / "comm").read_text().strip() == "sudo":
                pairs = (item.partition("=") for item in _strings(process / "environ"))
                return {name: value for name, sep, value in pairs if name and sep}, set(_strings(process / "cmdline"))
            pid = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None
        if pid <= 1:
            return None
    return None


def _strings(path: Path) -> list[str]:
    return os.fsdecode(path.read_bytes()).split("\0")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None

"""The files of settings that the go command reads where the environment has nothing.

Source: cmd/go/internal/cfg/cfg.go (EnvFile, initEnvCache, readEnvFile), os.UserConfigDir.
"""

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from trace_go.capture.bundle import kept_environment
from trace_go.capture.user import User
from trace_go.model.go import SettingsFile

MAX_SETTINGS_BYTES = 1 << 20
"""ours: go env -w knows about 50 variables"""


def settings_files(
    environment: Mapping[str, str], go_env: Mapping[str, str], user: User | None
) -> tuple[SettingsFile, ...]:
    """The files that exist, of the variables that a bundle keeps. go_env: `go env -json`. Never raises."""
    return tuple(
        SettingsFile(role=role, path=path, values=kept_environment(_values(text)))
        for role, path in _places(environment, go_env)
        if (text := _maybe_read(Path(path), user)) is not None
    )


def _places(environment: Mapping[str, str], go_env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    used, goroot, folder = go_env.get("GOENV", ""), go_env.get("GOROOT", ""), _config_folder(environment)
    if used:
        yield "user", used
    usual = str(Path(folder, "go", "env")) if folder else ""
    if environment.get("GOENV") and usual and usual != used:
        yield "unused", usual
    if goroot:
        yield "toolchain", str(Path(goroot, "go.env"))


def _config_folder(environment: Mapping[str, str]) -> str:
    if sys.platform == "win32":
        return environment.get("APPDATA", "")
    home = environment.get("HOME", "")
    if sys.platform == "darwin":
        return home and f"{home}/Library/Application Support"
    return environment.get("XDG_CONFIG_HOME", "") or (home and f"{home}/.config")


def _values(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.split("\n") if "A" <= line[:1] <= "Z" and "=" in line)
    return {name: value for name, _, value in pairs}


def _maybe_read(path: Path, user: User | None) -> str | None:
    """A file's text; as root on behalf of a user only of what is the user's own or open to all."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            allowed = user is None or status.st_uid == user.uid or status.st_mode & stat.S_IROTH
            if not stat.S_ISREG(status.st_mode) or not allowed:
                return None
            return file.read(MAX_SETTINGS_BYTES).decode("utf-8", "backslashreplace")
    except (OSError, ValueError):  # ValueError: a name with a null byte
        return None

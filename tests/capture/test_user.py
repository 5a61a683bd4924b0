"""Under sudo: the command is the invoking user's, with that user's environment, and so are our files."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from trace_go.capture import user
from trace_go.capture.user import invoking_user, private_file, private_folder, user_environment

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")

SHOW = """
import json, os, sys
from pathlib import Path
from trace_go.capture.run import run
from trace_go.capture.user import user_environment
log, words = Path(sys.argv[1]), sys.argv[2:]
result = run(words, environment=user_environment(), extra={}, line_filter=lambda line: True, log_path=log)
print(json.dumps([result.exit_code, result.problem]))
"""
TELL = ["sh", "-c", 'id -u; id -g; id -G; echo "$GOPROXY,$A,$HOME,$SUDO_USER"']


@pytest.fixture
def nobody(tmp_path: Path) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no user nobody")


def under_sudo(tmp_path: Path, who: pwd.struct_passwd, before: dict[str, str], said: dict[str, str]) -> list[str]:
    """What TELL prints when run as under sudo: below a process called `sudo` that has the environment `before`."""
    sudo = tmp_path / "sudo"
    sudo.symlink_to("/bin/sh")  # the kernel takes a process's name from the file it was started by
    paths = os.pathsep.join([str(Path(user.__file__).parents[2]), *sys.path])
    fresh = {"SUDO_UID": str(who.pw_uid), "SUDO_GID": str(who.pw_gid), "SUDO_USER": who.pw_name, "HOME": "/root"}
    variables = fresh | said | {"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"}
    words = [f"{name}={value}" for name, value in variables.items() if name not in fresh]
    script = f"""{" ".join(f"{name}='{value}'" for name, value in fresh.items())} env -u A "$@"; exit $?"""
    command = [sys.executable, "-c", SHOW, str(tmp_path / "log"), *TELL]
    argv = [str(sudo), "-c", script, "sudo", *words, *command]
    done = subprocess.run(argv, env=before, capture_output=True, text=True, check=True, timeout=20)
    *lines, result = done.stdout.splitlines()
    assert json.loads(result) == [0, None], done.stderr
    return lines


@needs_root
def test_the_command_runs_as_the_invoking_user(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    before = {"GOPROXY": "https://a.example", "PATH": "/usr/bin:/bin", "HOME": "/home/me", "A": "the user's"}
    uid, gid = str(nobody.pw_uid), str(nobody.pw_gid)
    told = under_sudo(tmp_path, nobody, before, {"GOPROXY": "direct"})
    assert told == [uid, gid, gid, "direct,the user's,/home/me,"]
    assert (tmp_path / "log").stat().st_uid == nobody.pw_uid


@needs_root
def test_what_sudo_strips_is_recovered(
    tmp_path: Path, nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"GOPROXY": "https://a.example", "PATH": "/opt/go", "HOME": "/home/me", "X": "a\nb"}
    monkeypatch.setattr(user, "_sudo_process", lambda: (before, {"sudo", "GOFLAGS=-x", "trace-go"}))
    own = {"SUDO_UID": "65534", "PATH": "/sbin", "HOME": "/root", "GOFLAGS": "-x", "LANG": "C", "SUDO_USER": "nobody"}
    monkeypatch.setattr(os, "environ", own)
    assert user_environment() == before | {"GOFLAGS": "-x"}


@needs_root
def test_without_a_sudo_to_look_at(nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "_sudo_process", lambda: None)
    own = {"SUDO_UID": str(nobody.pw_uid), "SUDO_GID": "1", "SUDO_USER": "x", "PATH": "/sbin", "HOME": "/root"}
    monkeypatch.setattr(os, "environ", own)
    home = {"HOME": nobody.pw_dir, "USER": "nobody", "LOGNAME": "nobody"}
    assert user_environment() == {"PATH": "/sbin"} | home


@pytest.mark.parametrize("uid", ["", "0", "-1", "٣", "1x"])
def test_no_other_user(uid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", uid)
    assert invoking_user() is None


def test_files_are_new_and_private(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("old")
    link.hardlink_to(path)
    with private_file(path) as out:
        out.write(b"new")
    assert (path.read_bytes(), link.read_bytes()) == (b"new", b"old")
    assert path.stat().st_mode & 0o777 == 0o600
    private_folder(tmp_path / "folder")
    private_folder(tmp_path / "folder")
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700


def test_devices_stay_devices() -> None:
    with private_file(Path("/dev/null")) as out:
        out.write(b"x")
    assert Path("/dev/null").is_char_device()


@needs_root
def test_files_belong_to_the_invoking_user(
    tmp_path: Path, nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    private_file(tmp_path / "file").close()
    private_folder(tmp_path / "folder")
    for name in ("file", "folder"):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid) == (nobody.pw_uid, nobody.pw_gid)

"""Which layer of go's settings is in effect; the order is asked of the real go as well."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from trace_go.capture.settings import settings_files
from trace_go.gocmd.layers import in_effect, layers, unused
from trace_go.model.go import GoAccount, SettingsFile

USER = SettingsFile(role="user", path="/e", values={"GOPROXY": "https://user.test", "GOSUMDB": ""})
TOOLCHAIN = SettingsFile(role="toolchain", path="/go/go.env", values={"GOPROXY": "https://tool.test", "GOSUMDB": "s"})


def test_layers() -> None:
    account = GoAccount(process_env={"GOPROXY": "direct"}, settings_files=(USER, TOOLCHAIN))
    assert [(item.role, item.value) for item in layers(account, "GOPROXY")] == [
        ("environment", "direct"),
        ("user", "https://user.test"),
        ("toolchain", "https://tool.test"),
    ]
    assert in_effect(account, "GOFLAGS") is None


def test_an_empty_variable_counts_in_a_file_only() -> None:
    account = GoAccount(process_env={"GOPROXY": "", "GOSUMDB": ""}, settings_files=(USER, TOOLCHAIN))
    found = [in_effect(account, name) for name in ("GOPROXY", "GOSUMDB")]
    assert [(item.role, item.value) for item in found if item] == [("user", "https://user.test"), ("user", "")]


def test_defaults() -> None:
    account = GoAccount(go_env={"GOPROXY": "direct", "GONOPROXY": "a.test"}, process_env={"GOPRIVATE": "a.test"})
    found = in_effect(account, "GONOPROXY")
    assert found
    assert (found.role, found.place) == ("default", "GOPRIVATE in the environment")
    found = in_effect(account, "GOPROXY")
    assert found
    assert found.text == "GOPROXY=direct from go's defaults"


@pytest.mark.parametrize("goenv", [None, "other", "off"])
@pytest.mark.parametrize("value", [None, "", "https://env.test"])
def test_as_the_real_go(tmp_path: Path, goenv: str | None, value: str | None) -> None:
    go = pytest.importorskip("go")
    (tmp_path / ".config/go").mkdir(parents=True)
    (tmp_path / ".config/go/env").write_text("GOPROXY=https://usual.test\nGOSUMDB=\n# GOFLAGS=-x\nGOPRIVATE=a=b\n")
    (tmp_path / "other").write_text("GOPROXY=https://first.test\nGOPROXY=https://other.test\n")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "GOTOOLCHAIN": "local"}
    environment |= {"GOENV": str(tmp_path / goenv) if goenv == "other" else goenv} if goenv else {}
    environment |= {} if value is None else {"GOPROXY": value}
    program = Path(go.__path__[0]) / "bin" / "go"
    answer = subprocess.run([program, "env", "-json"], env=environment, capture_output=True, check=True, cwd=tmp_path)
    go_env = json.loads(answer.stdout)
    files = settings_files(environment, go_env, None)
    account = GoAccount(go_env=go_env, process_env=environment, settings_files=files)
    for name in ("GOPROXY", "GOSUMDB", "GOPRIVATE"):
        setting = in_effect(account, name)
        assert (setting.value if setting else "") == go_env[name]
    kept = unused(account, "GOPROXY")
    assert (kept.value if kept else None) == ("https://usual.test" if goenv else None)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "nothing", "null\0byte"):
        assert settings_files({}, {"GOENV": str(tmp_path / name)}, None) == ()

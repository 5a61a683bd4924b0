"""The key-logging twin: what is built and kept, and why not. The lab shows that it works (tests/e2e/test_keys.py)."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from trace_go.capture import twin
from trace_go.capture.twin import Toolchain, TwinError

STOCK = """package tls

func (c *Config) writeKeyLog(label string, clientRandom, secret []byte) error {
	if c.KeyLogWriter == nil {
		return nil
	}
	return nil
}
"""
GO = """#!/bin/sh
case "$1" in
env) echo '{"GOROOT": "%(root)s", "GOVERSION": "go1.99.1"}' ;;
version)
    if [ "$2" = -m ]; then
        printf '\\tbuild\\tDefaultGODEBUG=tlskyber=0\\n'
    else
        echo go version go1.99.1 linux/amd64
    fi ;;
build)
    echo "$*" >"%(root)s/built"
    env >"%(root)s/environment"
    while [ "$1" != -o ]; do
        [ "$1" = -overlay ] && cp "$2" "%(root)s/overlay" && cp "$(dirname "$2")/common.go" "%(root)s/common.go"
        shift
    done
    cp "$0" "$2" ;;
esac
"""


@pytest.fixture
def goroot(tmp_path: Path) -> Path:
    """A toolchain whose go is a script."""
    root = tmp_path / "goroot"
    (root / "bin").mkdir(parents=True)
    (root / "src/crypto/tls").mkdir(parents=True)
    (root / "VERSION").write_text("go1.99.1\n")
    (root / "src/crypto/tls/common.go").write_text(STOCK)
    (root / "bin/go").write_text(GO % {"root": root})
    (root / "bin/go").chmod(0o755)
    return root


def environment(root: Path, **more: str) -> Mapping[str, str]:
    return {"PATH": f"{root}/bin:{os.environ['PATH']}", **more}


def built(root: Path, cache: Path, **more: str) -> tuple[Path, list[str]]:
    said: list[str] = []
    toolchain = Toolchain(goroot=root, version="go1.99.1")
    return twin.twin(toolchain, environment(root, **more), cache, None, progress=said.append), said


def test_the_toolchain_of_path(goroot: Path, tmp_path: Path) -> None:
    go = twin.which("go", environment(goroot))
    assert go == f"{goroot}/bin/go"
    only = [Toolchain(goroot=goroot, version="go1.99.1")]
    assert twin.selected(go, environment(goroot), None, tmp_path) == (only, "")
    with pytest.raises(TwinError, match="names no toolchain"):
        twin.selected("/bin/false", environment(goroot), None, tmp_path)


def test_built_once(goroot: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made, said = built(goroot, cache)
    assert said == ["building a go1.99.1 that logs its TLS keys (once, about half a minute)"]
    assert built(goroot, cache) == (made, [])
    assert [path.stat().st_mode & 0o777 for path in (cache, cache / "twins", made.parent)] == [0o700] * 3
    os.utime(goroot / "bin/go", (1, 1))
    other, said = built(goroot, cache)
    assert said
    assert other != made


def test_what_is_built(goroot: Path, tmp_path: Path) -> None:
    built(goroot, tmp_path / "cache", GOFLAGS="-mod=vendor", GOOS="plan9", GOPATH="/p", CGO_ENABLED="1", HOME="/h")
    overlay = json.loads((goroot / "overlay").read_text())["Replace"]
    assert sorted(Path(name).name for name in overlay) == ["common.go", "trace_go_key_log.go"]
    assert "return traceGoKeyLog(label, clientRandom, secret)" in (goroot / "common.go").read_text()
    assert (goroot / "common.go").read_text().count("return nil") == 1
    assert (goroot / "built").read_text().endswith("-ldflags=-w -X=runtime.godebugDefault=tlskyber=0 cmd/go\n")
    variables = dict(line.split("=", 1) for line in (goroot / "environment").read_text().splitlines() if "=" in line)
    assert "GOOS" not in variables
    wanted = {"GOPROXY": "off", "GOFLAGS": "", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOPATH": "/p", "HOME": "/h"}
    assert wanted.items() <= variables.items()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: (root / "src/crypto/tls/common.go").write_text("package tls\n"), "is none that we know"),
        (lambda root: (root / "src/crypto/tls/common.go").unlink(), "No such file"),
        (lambda root: (root / "bin/go").write_text("#!/bin/sh\necho no such flag >&2\nexit 1\n"), "no such flag"),
        (lambda root: (root / "VERSION").unlink(), "No such file"),
    ],
)
def test_why_there_is_none(goroot: Path, tmp_path: Path, damage: object, reason: str) -> None:
    assert callable(damage)
    damage(goroot)
    with pytest.raises(TwinError, match=reason):
        built(goroot, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("go"))


def test_a_cache_of_everybody_is_not_used(goroot: Path, tmp_path: Path) -> None:
    built(goroot, tmp_path / "cache")
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(TwinError, match="can be written by others"):
        built(goroot, tmp_path / "cache")


def test_the_cache_is_the_users(tmp_path: Path) -> None:
    assert twin.cache_folder({"XDG_CACHE_HOME": "/x"}, tmp_path) == Path("/x/trace-go")
    for value in ("", "relative"):
        assert twin.cache_folder({"XDG_CACHE_HOME": value}, tmp_path) == tmp_path / ".cache/trace-go"

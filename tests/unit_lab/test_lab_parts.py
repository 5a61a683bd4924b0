"""The lab's modules, certificates and scenario files."""

import ipaddress
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from lab import adversary, modules, pki, scenario, servers

DOCUMENTATION = [ipaddress.ip_network(n) for n in ("203.0.113.0/24", "198.51.100.0/24")]
FAULTS = {"", *scenario.FAULTS, *adversary.MODES}
HANDLERS = {"direct", "mirror", "mitm", "checksum-db", "none"}
ROLES = {"resolver", "forward-proxy", "interceptor", "mirror", "checksum-db", "cdn", "origin"}


def test_h1_is_what_go_writes() -> None:
    # go.sum's line for a go.mod that reads "module example.com/empty\n", computed by go mod download
    assert modules.h1({"go.mod": b"module example.com/empty\n"}) == "h1:+VQ4XqTH+uVTNUEUBkU5QJpZJoeDEZhUWbQp8UZ4U0s="


def test_requirements_take_the_highest_version_and_mark_indirect_ones() -> None:
    lines = modules.requirements(["github.com/Azure/pick v0.3.0", "example.com/alpha v1.2.3"], modules.MIRRORED)
    assert lines == [
        "example.com/alpha v1.2.3",
        "example.com/beta v1.0.1 // indirect",
        "github.com/Azure/pick v0.3.0",
        "golang.org/x/labtext v0.14.0 // indirect",
    ]


def test_tree_is_escaped_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        modules.write_tree(tmp_path / name, modules.MIRRORED)
    roots = list(tmp_path.iterdir())
    first, second = ({p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()} for r in roots)
    assert first == second
    assert Path("github.com/!azure/pick/@v/v0.3.0.zip") in first
    assert first[Path("example.com/alpha/@v/list")] == b"v1.2.2\nv1.2.3\n"
    assert b'"v1.2.3"' in first[Path("example.com/alpha/@latest")]


SOUND_CHAINS = {"good", "deep", "root-sent", "cross-signed", "wrong-order", "extra", "rsa-1024", "rsa-768"}


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("chain", pki.CHAINS)
def test_only_sound_chains_verify(tmp_path: Path, chain: str) -> None:
    """cryptography looks for a way among what is sent, as go does, and does not mind short keys."""
    authority = pki.Authority()
    authority.write_server(tmp_path, "proxy.golang.org", chain)
    store = verification.Store(x509.load_pem_x509_certificates(authority.roots["public"]))
    verifier = verification.PolicyBuilder().store(store).build_server_verifier(x509.DNSName("proxy.golang.org"))

    def verify() -> int:
        leaf, *others = x509.load_pem_x509_certificates((tmp_path / "proxy.golang.org.pem").read_bytes())
        return len(verifier.verify(leaf, others))

    if chain in SOUND_CHAINS:
        assert verify() >= 3
    else:
        with pytest.raises((verification.VerificationError, ValueError)):
            verify()


@pytest.mark.parametrize("name", scenario.names())
def test_scenario_is_sound(name: str) -> None:
    loaded = scenario.load(name)
    hosts = loaded.hosts.values()
    assert {host.plays for host in hosts} <= servers.ROLES.keys()
    assert {host.chain for host in hosts} <= set(pki.CHAINS)
    assert {host.fault for host in hosts} <= FAULTS
    assert len({host.address for host in hosts}) == len(hosts)
    assert all(any(ipaddress.ip_address(host.address) in network for network in DOCUMENTATION) for host in hosts)
    truth = loaded.truth
    assert (truth.exit != 0) == (truth.status == "failed")
    for outcome in (truth, truth.packets):
        assert outcome.status in {"ok", "degraded", "failed", "suspicious"}
        assert (outcome.cause == "") == (outcome.status == "ok")
        assert list(outcome.findings) == sorted({*outcome.findings, *filter(None, [outcome.cause])})
    assert {row.handled_by for row in truth.requests} <= HANDLERS
    assert {role for row in truth.requests for role in row.hops} <= ROLES
    assert all((row.claims_to_be != "") == (row.handled_by == "mitm") for row in truth.requests)
    known = {module.id for module in (*loaded.mirrored, *modules.PRIVATE)}
    assert {line.removesuffix(" // indirect") for line in loaded.main_requires} <= known


@pytest.mark.parametrize(
    ("change", "findings", "packets"),
    [
        ("", ["connection-refused"], ("failed", "connection-refused", ["connection-refused"])),
        ("truth.findings = ['a', 'b']", ["a", "b"], ("failed", "connection-refused", ["a", "b"])),
        ("truth.packets.cause = 'c'", ["connection-refused"], ("failed", "c", ["c"])),
        ("truth.packets = {status = 'ok', cause = ''}", ["connection-refused"], ("ok", "", [])),
        ("truth.packets = {cause = 'c', findings = ['b', 'c']}", ["connection-refused"], ("failed", "c", ["b", "c"])),
    ],
)
def test_packets_alone_show_what_the_run_shows_unless_told(
    change: str, findings: list[str], packets: tuple[str, str, list[str]]
) -> None:
    truth = scenario.load("mirror-refused", change).truth
    assert truth.findings == findings
    assert (truth.packets.status, truth.packets.cause, truth.packets.findings) == packets


def test_what_single_scenarios_need_is_known_and_said() -> None:
    for name in scenario.names():
        needed = servers.programs(scenario.load(name))
        assert set(needed) <= servers.PACKAGES.keys() | servers.OPTIONAL.keys()
    assert "go1.21" in servers.programs(scenario.load("go-1.21"))
    line = "athens not found: install it with `go install github.com/gomods/athens/cmd/proxy`"
    assert all(text.startswith(line) for text in servers.missing(["athens"]))


def test_toolchain_zip_has_what_go_looks_for(tmp_path: Path) -> None:
    modules.write_tree(tmp_path, modules.TOOLCHAINS)
    for module in modules.TOOLCHAINS:
        assert {name.partition("@")[2].partition("/")[2] for name in module.zip_files} >= {"bin/go", "bin/gofmt"}
        path = tmp_path / module.path / "@v" / f"{module.version}.zip"
        whole = path.read_bytes()
        assert path.with_name(f"{path.name}.cut").read_bytes() == whole[: len(whole) // 2]


def test_unknown_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (scenario.FOLDER / "healthy-mirror.toml").read_text()
    (tmp_path / "odd.toml").write_text("colour = 'red'\n" + text)
    monkeypatch.setattr(scenario, "FOLDER", tmp_path)
    assert "colour" in tomllib.loads((tmp_path / "odd.toml").read_text())
    with pytest.raises(TypeError, match="colour"):
        scenario.load("odd")

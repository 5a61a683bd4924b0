"""Where roots come from: as go looks for them, certifi, a file."""

import pickle
from pathlib import Path

import pytest
from cryptography import x509

from trace_go.model.errors import ConfigError
from trace_go.trust import store
from trust.authority import issue, root

ONE, TWO, THREE = (issue(f"Store Root {i}") for i in range(3))


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with ONE and a directory with TWO, where go looks on Linux."""
    (tmp_path / "bundle.crt").write_bytes(b"# comment\n" + ONE.pem)
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "two.pem").write_bytes(TWO.pem)
    (folder / "0a1b2c3d.0").symlink_to("two.pem")
    (folder / "three.pem").symlink_to(tmp_path / "elsewhere.pem")
    (tmp_path / "elsewhere.pem").write_bytes(THREE.pem)
    monkeypatch.setattr(store, "CERT_FILES", (str(tmp_path / "none.crt"), str(tmp_path / "bundle.crt")))
    monkeypatch.setattr(store, "CERT_DIRECTORIES", (str(folder), str(tmp_path / "nowhere")))
    return tmp_path


def names(found: store.TrustStore) -> list[str]:
    return sorted((c.subject_cn or "")[-1] for c in found.certificates)


def test_linux_reads_the_first_bundle_and_every_directory(linux: Path) -> None:
    found = store.system_store({}, "linux")
    assert names(found) == ["0", "1", "2"]
    assert found.name == "system"
    assert "bundle.crt" in found.found
    assert "certs" in found.found
    assert "nowhere" not in found.found


def test_ssl_cert_file_replaces_the_bundle_but_not_the_directories(linux: Path) -> None:
    (linux / "mine.pem").write_bytes(root().pem)
    found = store.system_store({"SSL_CERT_FILE": str(linux / "mine.pem")}, "linux")
    assert names(found) == ["1", "1", "2"]  # R1 of the test and the two of the directory
    assert found.found.startswith("SSL_CERT_FILE=")


def test_ssl_cert_dir_is_a_list_and_replaces_the_directories(linux: Path) -> None:
    for name, issued in (("a", ONE), ("b", THREE)):
        (linux / name).mkdir()
        (linux / name / "x").write_bytes(issued.pem)
    found = store.system_store({"SSL_CERT_DIR": f"{linux}/a:{linux}/b:{linux}/c"}, "linux")
    assert names(found) == ["0", "2"]


def test_unreadable_ssl_cert_file_is_told_and_nothing_stands_in_for_it(linux: Path) -> None:
    found = store.system_store({"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"}, "linux")
    assert found.certificates == ()
    assert "(unreadable)" in found.found


def test_no_roots_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CERT_FILES", ())
    monkeypatch.setattr(store, "CERT_DIRECTORIES", ())
    found = store.system_store({}, "linux")
    assert found.certificates == ()
    assert found.found.startswith("no root certificates")


@pytest.mark.parametrize(("goos", "called"), [("darwin", "macOS"), ("win32", "Windows"), ("windows", "Windows")])
def test_platform_stores_are_named_and_stood_in_for(goos: str, called: str) -> None:
    found = store.system_store({}, goos)
    assert called in found.found
    assert found.name in ("certifi", "Python's ssl roots")
    assert len(found.certificates) > 20


def test_platform_store_overridden_by_environment(linux: Path) -> None:
    """New in Go 1.27 (crypto/x509/root.go)."""
    settings = {"SSL_CERT_FILE": str(linux / "bundle.crt")}
    assert names(store.system_store(settings, "darwin")) == ["0"]
    assert "before 1.27" in store.system_store(settings, "darwin").found
    kept = store.system_store(settings | {"GODEBUG": "a=1,x509sslcertoverrideplatform=0"}, "darwin")
    assert len(kept.certificates) > 20
    listed = store.system_store({"SSL_CERT_DIR": f"{linux}/x;{linux}/certs"}, "windows")
    assert names(listed) == ["1", "2"]


def test_certifi_is_mozilla(linux: Path) -> None:
    assert len(store.certifi_store().certificates) > 50
    assert "Mozilla" in store.choose("certifi", {}).found
    assert store.choose("system", {"SSL_CERT_DIR": str(linux)}).name == "system"


def test_file_store(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(ONE.pem + b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n" + TWO.pem + ONE.pem)
    found = store.choose(str(path), {})
    assert names(found) == ["0", "1"]
    assert found.name == str(path)


@pytest.mark.parametrize("content", [b"", b"no certificate", ONE.der, ONE.pem[:-40], b"\xff" * 100])
def test_file_without_certificates(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="no PEM certificate"):
        store.file_store(path)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="trust file"):
            store.file_store(path)


def test_a_kept_store_tells_how_it_was_found_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "trust.pem"
    for kept in (
        store.TrustStore("system", "SSL_CERT_FILE=/none\n(unreadable)", lambda: ()),
        store.TrustStore("system", "/etc/ssl/certs", lambda: (ONE.der, TWO.der)),
    ):
        path.write_text(kept.pem())
        again = store.kept_store(path, "system")
        assert (again.name, again.found) == ("system", " ".join(kept.found.split()))
        assert (again.certificates, again.empty) == (kept.certificates, not kept.certificates)
    path.write_bytes(ONE.pem)
    assert store.kept_store(path, "system").found == f"the certificates in {path}"
    with pytest.raises(ConfigError, match="trust file"):
        store.kept_store(tmp_path / "none", "system")


def test_pem_blocks_with_headers_are_not_taken() -> None:
    headed = ONE.pem.replace(b"-----\n", b"-----\nProc-Type: 4,ENCRYPTED\n\n", 1)
    assert store.pem_certificates(headed) == ()
    assert store.pem_certificates(headed + TWO.pem.replace(b"\n", b"\r\n")) == (TWO.der,)


def test_stores_are_lazy_and_travel_to_workers(linux: Path) -> None:
    asked = []
    lazy = store.TrustStore("x", "y", lambda: asked.append(1) or (ONE.der,))  # type: ignore[func-returns-value]
    assert not asked
    assert len(lazy.certificates) == len(lazy.certificates) == len(asked)
    found = store.system_store({}, "linux")
    assert found.certificates
    copy = pickle.loads(pickle.dumps(found))
    assert (copy.name, copy.found, names(copy)) == (found.name, found.found, names(found))


def test_lookups() -> None:
    found = store.TrustStore("x", "y", lambda: (ONE.der, b"junk", ONE.der, TWO.der))
    subject = ONE.certificate.subject.public_bytes()
    assert [x.der for x in found.named(subject)] == [ONE.der]
    assert found.named(b"") == ()
    assert [c.subject for c in found.verifier_roots(frozenset((subject, b"x")))] == [ONE.certificate.subject]
    assert isinstance(found.verifier_roots(frozenset((subject,)))[0], x509.Certificate)


def test_roots_cryptography_cannot_read_are_left_to_our_own_path_builder() -> None:
    version_2 = ONE.der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"), 1)
    found = store.TrustStore("x", "y", lambda: (version_2,))
    subject = ONE.certificate.subject.public_bytes()
    assert len(found.named(subject)) == 1
    assert found.verifier_roots(frozenset((subject,))) == []

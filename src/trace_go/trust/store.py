"""Trust stores: the roots of the go command (crypto/x509/root.go, root_linux.go of go1.27), of certifi, of a file."""

import base64
import binascii
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from trace_go.model.errors import ConfigError
from trace_go.model.tls import Certificate
from trace_go.wire.certificates import certificate
from trace_go.wire.der import MAX_TEXT
from trace_go.wire.x509 import X509, read

CERT_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)  # the first that can be read counts (root_linux.go)
CERT_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")  # all are read, beside the file
PLATFORM_STORES = {"darwin": "macOS", "ios": "iOS", "windows": "Windows", "win32": "Windows"}
FOUND = "# "
# PEM blocks with headers inside are not taken, as in Go
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[ \t]*\r?\n([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")


class TrustStore:
    """Roots, read when first asked for. Pickles as the recipe, not the certificates."""

    def __init__(self, name: str, found: str, load: Callable[[], tuple[bytes, ...]]) -> None:
        self.name = name
        self.found = found
        """one line: how it was found"""
        self._load = load

    def __reduce__(self) -> tuple[Any, ...]:
        return TrustStore, (self.name, self.found, self._load)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """What go can read of the store, each once."""
        return tuple(certificate(root.der) for root in self._holding(b""))

    @cached_property
    def empty(self) -> bool:
        return all(read(der).problem for der in self._ders)

    def holds(self, certificate: X509) -> bool:
        return any(root.der == certificate.der for root in self.named(certificate.raw_subject))

    def named(self, raw_subject: bytes) -> Sequence[X509]:
        """The roots with this encoded subject."""
        return tuple(root for root in self._holding(raw_subject) if root.raw_subject == raw_subject)

    def has_organisation(self, organisation: str) -> bool:
        return any(root.subject.o == organisation for root in self._holding(organisation.encode()))

    def _holding(self, part: bytes) -> list[X509]:
        """The readable roots whose encoding holds `part`: a search in bytes spares reading 140 certificates for one."""
        return [root for root in map(read, (der for der in self._ders if part in der)) if not root.problem]

    @cached_property
    def _ders(self) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys(self._load()))

    def pem(self) -> str:
        """All certificates in PEM (RFC 7468), behind a line that tells how the store was found: see `kept_store`."""
        bodies = (base64.encodebytes(der).decode("ascii") for der in self._ders)
        blocks = (f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n" for body in bodies)
        return f"{FOUND}{' '.join(self.found.split())}\n" + "".join(blocks)

    def verifier_roots(self, issuers: frozenset[bytes]) -> list[Any]:
        """The roots among `issuers` (encoded names) as cryptography's objects, less those it cannot read."""
        from cryptography.x509 import InvalidVersion, load_der_x509_certificate

        roots = []
        for der in (root.der for issuer in sorted(issuers) for root in self.named(issuer)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecations about old roots are not the user's to mend
                try:
                    roots.append(load_der_x509_certificate(der))
                except (ValueError, InvalidVersion):
                    continue
        return roots


def choose(option: str, environ: Mapping[str, str]) -> TrustStore:
    """The store of `--trust system|certifi|FILE`. Raises ConfigError for a file that is of no use."""
    if option == "system":
        return system_store(environ)
    return certifi_store() if option == "certifi" else file_store(Path(option))


def certifi_store() -> TrustStore:
    """Mozilla's roots, as the installed certifi has them."""
    import certifi

    path = Path(certifi.__file__).with_name("cacert.pem")
    if not path.exists():  # in a distribution's package; to ask first would import zipfile and more
        path = Path(certifi.where())
    return TrustStore("certifi", f"Mozilla's roots of certifi {certifi.__version__}", partial(_load, (path,), ()))


def file_store(path: Path) -> TrustStore:
    """A PEM bundle, called by its path. Raises ConfigError when it cannot be read or holds no certificate."""
    try:
        ders = pem_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"trust file {path}: {error.strerror or error}") from error
    if all(read(der).problem for der in ders):
        raise ConfigError(f"trust file {path}: no PEM certificate in it; convert DER with openssl x509 -inform der")
    return TrustStore(str(path), f"the certificates in {path}", partial(_given, ders))


def kept_store(path: Path, name: str) -> TrustStore:
    """The store that a bundle kept, which may be empty. Raises ConfigError when it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"trust file {path}: {error.strerror or error}") from error
    first = data.split(b"\n", 1)[0].decode("utf-8", "backslashreplace")[:MAX_TEXT]
    found = first.removeprefix(FOUND) if first.startswith(FOUND) else f"the certificates in {path}"
    return TrustStore(name, found, partial(_given, pem_certificates(data)))


def system_store(environ: Mapping[str, str], goos: str = sys.platform) -> TrustStore:
    """The roots go trusts in this environment. SSL_CERT_FILE replaces the bundle and SSL_CERT_DIR the directories."""
    file, directories = environ.get("SSL_CERT_FILE", ""), environ.get("SSL_CERT_DIR", "")
    platform = PLATFORM_STORES.get(goos)
    overridden = (file or directories) and "x509sslcertoverrideplatform=0" not in environ.get("GODEBUG", "").split(",")
    if platform and not overridden:
        return _platform_store(platform)
    files = (Path(file),) if file else () if platform else tuple(map(Path, CERT_FILES))
    separator = ";" if platform == "Windows" else ":"
    folders = directories.split(separator) if directories else () if platform else CERT_DIRECTORIES
    paths = tuple(Path(folder) for folder in folders if folder)
    bundle = next((path for path in files if os.access(path, os.R_OK) and path.is_file()), None)
    parts = [
        f"SSL_CERT_FILE={file}" + ("" if bundle else " (unreadable)") if file else str(bundle or ""),
        f"SSL_CERT_DIR={directories}" if directories else ", ".join(str(path) for path in paths if path.is_dir()),
    ]
    found = " and ".join(part for part in parts if part) or "no root certificates where go looks for them"
    if platform:
        found += f"; go before 1.27 uses the {platform} store instead"
    return TrustStore("system", found, partial(_load, files, paths))


def _platform_store(platform: str) -> TrustStore:
    """What stands in for a store only the platform's own verifier can read in full."""
    import ssl

    ders = tuple(ssl.create_default_context().get_ca_certs(binary_form=True))
    note = f"go uses the {platform} store, which is not read here; in its place "
    if ders:
        return TrustStore("Python's ssl roots", note + "the default roots of Python's ssl", partial(_given, ders))
    mozilla = certifi_store()
    return TrustStore(mozilla.name, note + mozilla.found, mozilla._load)


def _given(ders: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return ders


def _load(files: tuple[Path, ...], directories: tuple[Path, ...]) -> tuple[bytes, ...]:
    """loadOnDiskRoots of root.go: the first readable file, then every file of every directory."""
    blocks: dict[bytes, None] = {}  # the directories mostly repeat the file
    for path in files:
        try:
            blocks |= dict.fromkeys(PEM.findall(path.read_bytes()))
        except OSError:
            continue
        break
    for directory in directories:
        for name in _entries(directory):
            try:
                with open(name, "rb", buffering=0) as file:  # noqa: PTH123 -- 140 of them
                    blocks |= dict.fromkeys(PEM.findall(file.read()))
            except OSError:
                continue
    return tuple(_decoded(blocks))


def _entries(directory: Path) -> list[str]:
    """Regular files, less links to a name in the same directory (the hash links of openssl rehash)."""
    try:
        with os.scandir(directory) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        return []
    return [entry.path for entry in entries if not _is_hash_link(entry) and entry.is_file()]


def _is_hash_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and "/" not in os.readlink(entry.path)  # noqa: PTH115 -- 300 of them


def pem_certificates(data: bytes) -> tuple[bytes, ...]:
    """The DER of each PEM certificate in `data`, in order."""
    return tuple(_decoded(PEM.findall(data)))


def _decoded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        with suppress(binascii.Error):
            yield base64.b64decode(b"".join(block.split()), validate=True)

"""Fingerprints of hellos: JA3 and JA3S (Salesforce, BSD 3-Clause) and JA4 for TLS over TCP (FoxIO, BSD 3-Clause).

All functions are pure and take the numbers of a hello in wire order, GREASE included; GREASE (RFC 8701) never counts.
Definitions: the README of the JA3 project and `technical_details/JA4.md` of the JA4 project.
"""

import hashlib
from collections.abc import Iterable, Sequence

GREASE = frozenset(0x0A0A + 0x1010 * n for n in range(16))
"""the 16-bit values that RFC 8701 §2 reserves"""

_SERVER_NAME, _ALPN = 0, 16
_MAX_COUNT = 99
"""JA4 writes counts with two digits"""
_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


def ja3(
    version: int, ciphers: Iterable[int], extensions: Iterable[int], groups: Iterable[int], point_formats: Iterable[int]
) -> str:
    """MD5 of `legacy version,ciphers,extensions,groups,point formats`, 32 hex digits."""
    return _md5(version, ciphers, extensions, groups, point_formats)


def ja3s(version: int, cipher: int, extensions: Iterable[int]) -> str:
    """MD5 of `legacy version,cipher,extensions`, 32 hex digits."""
    return _md5(version, (cipher,), extensions)


def ja4(
    *,
    versions: Iterable[int],
    ciphers: Iterable[int],
    extensions: Iterable[int],
    alpn: Sequence[bytes],
    signature_algorithms: Iterable[int],
) -> str:
    """`t13d1312h2_f57a46bbacb6_f50d94e863eb`: protocol, version, name, counts and ALPN, then two cut SHA-256 hashes.

    versions: of supported_versions, else the legacy version alone.
    """
    suites, types = _plain(ciphers), _plain(extensions)
    version = _JA4_VERSIONS.get(max(_plain(versions), default=0), "00")
    name = "d" if _SERVER_NAME in types else "i"
    counts = f"{min(len(suites), _MAX_COUNT):02}{min(len(types), _MAX_COUNT):02}"
    offered = _hex(sorted(number for number in types if number not in (_SERVER_NAME, _ALPN)))
    if offered and (algorithms := _hex(_plain(signature_algorithms))):
        offered += "_" + algorithms
    return f"t{version}{name}{counts}{_ja4_alpn(alpn)}_{_sha256(_hex(sorted(suites)))}_{_sha256(offered)}"


def _ja4_alpn(alpn: Sequence[bytes]) -> str:
    """First and last character of the first name, of its hex digits where one of the two is not alphanumeric."""
    if not alpn or not alpn[0]:
        return "00"
    ends = alpn[0][:1] + alpn[0][-1:]
    if ends.isalnum():  # for bytes this means ASCII
        return ends.decode("ascii")
    return f"{ends[0]:02x}"[0] + f"{ends[1]:02x}"[1]


def _plain(numbers: Iterable[int]) -> list[int]:
    return [number for number in numbers if number not in GREASE]


def _hex(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _md5(version: int, *fields: Iterable[int]) -> str:
    text = ",".join((str(version), *("-".join(map(str, _plain(field))) for field in fields)))
    return hashlib.md5(text.encode("ascii"), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else "0" * 12

"""Opening TLS records with the secrets of a key log: key schedules and ciphers.

TLS 1.3: RFC 8446 §5.2–5.3, §7.1–7.3. TLS 1.0–1.2: RFC 5246 §5–6.3 (and 2246, 4346), AES-GCM RFC 5288, AES-CCM RFC 6655,
ChaCha20-Poly1305 RFC 7905, encrypt-then-MAC RFC 7366. Imported only where there are keys: cryptography's ciphers take
70 ms.
"""

import hmac
import re
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from msgspec import Struct

from trace_go.wire.tls_names import cipher_name

HEADER_BYTES = 5
TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304
_NAME = re.compile(r"_(?P<aes>AES_(?P<bits>128|256)_(?P<mode>GCM|CBC|CCM))?(?P<short>_8)?(?P<chacha>CHACHA20_POLY1305)?"
                   r"_?(?P<hash>SHA\d*)?$")  # fmt: skip
_MAC_BYTES = {"sha1": 20, "sha256": 32, "sha384": 48}
_BLOCK = 16
_IV13, _IMPLICIT, _EXPLICIT = 12, 4, 8

Opened = tuple[int, bytes]
"""content type and content of a record"""


class Protection(Protocol):
    def open(self, record: bytes) -> Opened | None:
        """A whole record, header included; None when the key is not its key. In order: records are numbered."""
        ...


class Suite(Struct, frozen=True, kw_only=True):
    mode: str
    """`gcm`, `ccm`, `chacha` or `cbc`"""
    key_bytes: int
    hash: str
    """of the key schedule; up to TLS 1.1 another"""
    mac: str
    """of CBC, else empty"""
    tag_bytes: int


@lru_cache
def maybe_suite(number: int) -> Suite | None:
    """The cipher of a suite, told from its IANA name; None for what is not read (RC4, 3DES, NULL, exotic ones)."""
    name = cipher_name(number) or ""
    found = _NAME.search(name)
    if not found or not (found["aes"] or found["chacha"]):
        return None
    mode = "chacha" if found["chacha"] else found["mode"].lower()
    said = {"SHA": "sha1"}.get(found["hash"] or "", (found["hash"] or "SHA256").lower())
    return Suite(
        mode=mode,
        key_bytes=int(found["bits"] or 256) // 8,
        hash="sha256" if said == "sha1" else said,
        mac=said if mode == "cbc" else "",
        tag_bytes=8 if found["short"] else 16,
    )


# -- TLS 1.3 -----------------------------------------------------------------------------------------------------------


def expand_label(secret: bytes, label: str, size: int, hash_name: str) -> bytes:
    """HKDF-Expand-Label with an empty context; size: at most 255 blocks of the hash."""
    full = f"tls13 {label}".encode()
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    out, block, count = b"", b"", 1
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([count]), hash_name)
        out, count = out + block, count + 1
    return out[:size]


def next_secret(secret: bytes, suite: Suite) -> bytes:
    """After a KeyUpdate."""
    return expand_label(secret, "traffic upd", len(secret), suite.hash)


class Protection13:
    """One direction under one traffic secret."""

    __slots__ = ("_aead", "_iv", "_number")

    def __init__(self, secret: bytes, suite: Suite) -> None:
        self._aead = _aead(suite, expand_label(secret, "key", suite.key_bytes, suite.hash))
        self._iv = int.from_bytes(expand_label(secret, "iv", _IV13, suite.hash), "big")
        self._number = 0

    def open(self, record: bytes) -> Opened | None:
        view, nonce = memoryview(record), (self._iv ^ self._number).to_bytes(_IV13, "big")
        try:
            inner = self._aead.decrypt(nonce, view[HEADER_BYTES:], view[:HEADER_BYTES])
        except (InvalidTag, ValueError):
            return None
        self._number += 1
        if not inner or not inner[-1]:
            inner = inner.rstrip(b"\0")
        return (inner[-1], inner[:-1]) if inner else (0, b"")


# -- TLS 1.0 to 1.2 ----------------------------------------------------------------------------------------------------


def protections12(
    suite: Suite, version: int, master: bytes, randoms: tuple[bytes, bytes], *, encrypt_then_mac: bool
) -> tuple[Protection, Protection]:
    """Of the client's and of the server's records. randoms: the client's and the server's, 32 bytes each."""
    mac, key = _MAC_BYTES.get(suite.mac, 0), suite.key_bytes
    iv = _IV13 if suite.mode == "chacha" else _BLOCK if suite.mode == "cbc" else _IMPLICIT
    block = _prf(suite, version, master, b"key expansion" + randoms[1] + randoms[0], 2 * (mac + key + iv))
    parts, at = [], 0
    for size in (mac, mac, key, key, iv, iv):
        parts.append(block[at : at + size])
        at += size
    if suite.mode == "cbc":
        made = [_Cbc(suite, version, parts[side::2], encrypt_then_mac) for side in (0, 1)]
        return made[0], made[1]
    return _Aead12(suite, parts[2], parts[4]), _Aead12(suite, parts[3], parts[5])


def _prf(suite: Suite, version: int, secret: bytes, seed: bytes, size: int) -> bytes:
    if version >= TLS12:
        return _expand(suite.hash, secret, seed, size)
    half = (len(secret) + 1) // 2
    one, other = _expand("md5", secret[:half], seed, size), _expand("sha1", secret[-half:], seed, size)
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _expand(hash_name: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """P_hash of RFC 5246 §5."""
    out, step = b"", seed
    while len(out) < size:
        step = hmac.digest(secret, step, hash_name)
        out += hmac.digest(secret, step + seed, hash_name)
    return out[:size]


class _Aead12:
    __slots__ = ("_aead", "_explicit", "_iv", "_number", "_tag")

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self._aead, self._iv, self._tag = _aead(suite, key), iv, suite.tag_bytes
        self._explicit = 0 if suite.mode == "chacha" else _EXPLICIT
        self._number = 0

    def open(self, record: bytes) -> Opened | None:
        view = memoryview(record)
        size = len(record) - HEADER_BYTES - self._explicit - self._tag
        if size < 0:
            return None
        number = self._number.to_bytes(8, "big")
        if self._explicit:
            nonce = self._iv + bytes(view[HEADER_BYTES : HEADER_BYTES + _EXPLICIT])
        else:
            nonce = (int.from_bytes(self._iv, "big") ^ self._number).to_bytes(_IV13, "big")
        try:
            content = self._aead.decrypt(
                nonce, view[HEADER_BYTES + self._explicit :], number + view[:3] + size.to_bytes(2, "big")
            )
        except (InvalidTag, ValueError):
            return None
        self._number += 1
        return record[0], content


class _Cbc:
    """parts: MAC key, key, IV (of TLS 1.0, where a record's last block is the next one's)."""

    __slots__ = ("_chained", "_etm", "_key", "_mac", "_mac_key", "_number")

    def __init__(self, suite: Suite, version: int, parts: list[bytes], encrypt_then_mac: bool) -> None:
        self._mac_key, key, iv = parts
        self._mac, self._key, self._etm = suite.mac, AES(key), encrypt_then_mac
        self._chained = iv if version == TLS10 else None
        self._number = 0

    def open(self, record: bytes) -> Opened | None:
        size = _MAC_BYTES[self._mac]
        body, mac = record[HEADER_BYTES:], b""
        if self._etm:
            body, mac = body[:-size], body[-size:]
        iv, data = (self._chained, body) if self._chained else (body[:_BLOCK], body[_BLOCK:])
        if not data or len(data) % _BLOCK or len(iv) != _BLOCK:
            return None
        decryptor = Cipher(self._key, CBC(iv)).decryptor()
        plain = decryptor.update(data) + decryptor.finalize()
        end = len(plain) - 1 - plain[-1]
        content = plain[: max(end, 0)] if self._etm else plain[: max(end - size, 0)]
        if not self._etm:
            mac = plain[len(content) : len(content) + size]
        covered = body if self._etm else content
        head = self._number.to_bytes(8, "big") + record[:3] + len(covered).to_bytes(2, "big")
        if end < (0 if self._etm else size) or hmac.digest(self._mac_key, head + covered, self._mac) != mac:
            return None
        self._number += 1
        self._chained = data[-_BLOCK:] if self._chained else None
        return record[0], content


def _aead(suite: Suite, key: bytes) -> AESGCM | AESCCM | ChaCha20Poly1305:
    if suite.mode == "ccm":
        return AESCCM(key, suite.tag_bytes)
    return AESGCM(key) if suite.mode == "gcm" else ChaCha20Poly1305(key)

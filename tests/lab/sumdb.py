"""A checksum database as static files: records, RFC 6962 tree in tiles of height 8, signed tree head.

Formats: golang.org/x/mod/sumdb (tlog/note.go, tlog/tile.go, note/note.go) and https://go.dev/design/25530-sumdb.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.modules import Module, escape, h1

NAME = "sum.golang.org"
FILLERS = 600  # other people's records, so that the tree has several tiles and two levels
TILE_HEIGHT = 8
_KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"trace-go lab checksum database").digest())
_PUBLIC = b"\x01" + _KEY.public_key().public_bytes_raw()  # 1 = Ed25519
_KEY_HASH = hashlib.sha256(f"{NAME}\n".encode() + _PUBLIC).digest()[:4]
GOSUMDB = f"{NAME}+{_KEY_HASH.hex()}+{base64.b64encode(_PUBLIC).decode()}"  # without a URL, so mirrors are asked first


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtrees(records: Sequence[bytes]) -> list[list[bytes]]:
    """Hashes of all complete subtrees: element h holds those of 2**h records, left to right. `records` is not empty."""
    levels = [[hashlib.sha256(b"\x00" + record).digest() for record in records]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return levels


def tree_hash(levels: Sequence[Sequence[bytes]]) -> bytes:
    """The root: complete subtrees without a sibling, joined from the smallest (rightmost) up."""
    odd = [level[-1] for level in levels if len(level) % 2]
    root = odd[0]
    for left in odd[1:]:
        root = node(left, root)
    return root


def tile_path(level: int, number: int, width: int) -> str:
    digits = f"{number % 1000:03}"
    while number >= 1000:
        number //= 1000
        digits = f"x{number % 1000:03}/{digits}"
    return f"tile/{TILE_HEIGHT}/{level}/{digits}" + (f".p/{width}" if width < 1 << TILE_HEIGHT else "")


def sign(text: str) -> str:
    """A signed note; `text` ends with a newline."""
    signature = base64.b64encode(_KEY_HASH + _KEY.sign(text.encode())).decode()
    return f"{text}\n\u2014 {NAME} {signature}\n"


def write(root: Path, modules: Sequence[Module]) -> None:
    """Write latest, lookup/… and tile/… below `root` for these modules and some fillers."""
    records = [f"example.org/filler{i} v1.0.0 {h1({'go.mod': b'%d' % i})}\n" for i in range(FILLERS)]
    first = len(records) // 2  # in the middle: proofs go left and right
    records[first:first] = [module.sums for module in modules]
    levels = subtrees([record.encode() for record in records])
    head = sign(f"go.sum database tree\n{len(records)}\n{base64.b64encode(tree_hash(levels)).decode()}\n")
    _write(root / "latest", head.encode())
    for number, module in enumerate(modules, first):
        text = f"{number}\n{records[number]}\n{head}"
        _write(root / "lookup" / f"{escape(module.path)}@{escape(module.version)}", text.encode())
    full = 1 << TILE_HEIGHT
    for level, hashes in enumerate(levels[::TILE_HEIGHT]):
        for start in range(0, len(hashes), full):
            part = hashes[start : start + full]
            _write(root / tile_path(level, start // full, len(part)), b"".join(part))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

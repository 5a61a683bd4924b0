"""The lab's checksum database against RFC 6962's own definition, and read back from its files as go does."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from lab import modules, sumdb

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {  # the vectors that Certificate Transparency implementations share
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def slow_root(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return sumdb.node(slow_root(hashes[:split]), slow_root(hashes[split:]))


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_known_roots(size: int, root: str) -> None:
    records = [bytes.fromhex(leaf) for leaf in LEAVES[:size]]
    assert sumdb.tree_hash(sumdb.subtrees(records)).hex() == root


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=600))
def test_any_tree_is_the_slow_tree(records: list[bytes]) -> None:
    levels = sumdb.subtrees(records)
    assert sumdb.tree_hash(levels) == slow_root(levels[0])


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [(0, 256, "tile/8/0/000"), (7, 3, "tile/8/0/007.p/3"), (1234067, 256, "tile/8/0/x001/x234/067")],
)
def test_tile_path(number: int, width: int, path: str) -> None:
    assert sumdb.tile_path(0, number, width) == path


def test_a_lookup_is_proved_by_note_and_tiles(tmp_path: Path) -> None:
    sumdb.write(tmp_path, modules.MIRRORED)
    lookup = (tmp_path / "lookup/github.com/!azure/pick@v0.3.0").read_text()
    record, head = lookup.split("\n\n", 1)
    number, record = record.split("\n", 1)

    text, signature = head.split("\n\n")
    name, key_hash, key = sumdb.GOSUMDB.split("+", 2)
    signed = base64.b64decode(signature.removeprefix(f"\u2014 {name} "))
    assert signed[:4].hex() == key_hash
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(signed[4:], f"{text}\n".encode())

    title, size, root = text.split("\n")
    assert title == "go.sum database tree"
    tiles = [tmp_path / sumdb.tile_path(0, i, min(256, int(size) - 256 * i)) for i in range(-(-int(size) // 256))]
    data = b"".join(tile.read_bytes() for tile in tiles)
    hashes = [data[i : i + 32] for i in range(0, len(data), 32)]
    assert slow_root(hashes) == base64.b64decode(root)
    assert hashes[int(number)] == hashlib.sha256(b"\0" + record.encode() + b"\n").digest()
    parents = (tmp_path / sumdb.tile_path(1, 0, int(size) // 256)).read_bytes()
    assert parents[:32] == slow_root(hashes[:256])

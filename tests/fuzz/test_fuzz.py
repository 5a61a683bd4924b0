"""A minute of mutations of the seeds, and every input that once broke something. `make fuzz` goes on from there."""

import random
import time

import pytest

from fuzz.seeds import FOUND, found, seeds
from fuzz.targets import TARGETS

SECONDS = 1.5
"""for each target; 29 of them"""
SLOW_S = 5.0
"""of processor time for one input"""


def mutated(chance: random.Random, inputs: list[bytes]) -> bytes:
    blob = bytearray(chance.choice(inputs))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(blob) + 1)
        match chance.randrange(6):
            case 0:
                blob[at : at + 1] = chance.randbytes(1)
            case 1:
                blob[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del blob[at : at + chance.randint(1, 40)]
            case 3:
                blob[at : at + 4] = chance.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
            case 4:
                other = chance.choice(inputs)
                blob[at:at] = other[chance.randrange(len(other) + 1) :][: chance.randint(1, 200)]
            case _:
                del blob[at:]
    return bytes(blob)


def run(name: str, blob: bytes) -> None:
    began = time.process_time()
    TARGETS[name](blob)
    assert time.process_time() - began < SLOW_S


@pytest.mark.parametrize("name", TARGETS)
def test_mutations(name: str) -> None:
    inputs, chance, end = seeds().get(name) or [bytes(64)], random.Random(name), time.monotonic() + SECONDS
    for blob in inputs[:200]:
        run(name, blob)
    while time.monotonic() < end:
        blob = mutated(chance, inputs)
        try:
            run(name, blob)
        except Exception as error:  # noqa: BLE001 -- whatever leaves a target is the finding
            pytest.fail(f"{type(error).__name__}: {error}; input: {blob[:2000].hex()}")


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_broke_it(name: str) -> None:
    for blob in found(name):
        run(name, blob)


def test_every_found_input_has_its_target() -> None:
    assert not FOUND.exists() or {path.name for path in FOUND.iterdir()} <= set(TARGETS)

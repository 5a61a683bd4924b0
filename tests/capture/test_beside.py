"""A second process: what it sends, its failures, and that nothing of it is left."""

import os
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_go.capture import beside
from trace_go.capture.beside import Beside, Sender, possible

pytestmark = pytest.mark.skipif(not possible(), reason="one processor, or no fork")


def sends(*pieces: bytes) -> Callable[[Sender], None]:
    def work(sender: Sender) -> None:
        for number, piece in enumerate(pieces):
            sender.send(bytes([number % 256]), [np.frombuffer(part, np.uint8) for part in (piece[:3], piece[3:])])

    return work


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4096), max_size=40))
def test_all_comes_in_order_and_whole_through_little_memory(sizes: list[int]) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "HEAP_BYTES", 4096)
        with Beside(sends(*pieces)) as other:
            assert [(message.content[0], message.blob.tobytes()) for message in other.messages()] == list(
                enumerate(pieces)
            )


def test_cells_are_filled_in_turn_and_kept_until_they_were_read() -> None:
    def work(sender: Sender) -> None:
        for number in range(50):
            sender.next_cell()[:] = number
            for _ in range(number % 3):
                sender.send(bytes([number]))

    with Beside(work, 100_000) as other:
        seen = [(message.content[0], np.unique(message.cell).tolist()) for message in other.messages()]
    assert seen == [(number, [number]) for number in range(50) for _ in range(number % 3)]


def test_it_has_what_the_first_process_has_and_is_another() -> None:
    here = os.getpid()
    with Beside(lambda sender: sender.send(f"{os.getpid() == here} {here}".encode())) as other:
        assert [message.content for message in other.messages()] == [f"False {here}".encode()]


def test_work_that_breaks_off_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    def work(sender: Sender) -> None:
        sender.send(b"first")
        raise ValueError

    with Beside(work) as other, pytest.raises(OSError):  # noqa: PT011 (whichever end is met first)
        list(other.messages())
    assert capfd.readouterr() == ("", "")


def test_more_than_there_is_memory_for_breaks_it_off() -> None:
    too_much = np.zeros(beside.HEAP_BYTES + 1, np.uint8)
    with Beside(lambda sender: sender.send(b"", [too_much])) as other, pytest.raises(ChildProcessError):
        list(other.messages())


def test_nothing_is_left_of_one_that_nobody_waits_for() -> None:
    def work(sender: Sender) -> None:
        while True:
            sender.send(b"more", [np.zeros(1 << 20, np.uint8)])

    with Beside(work) as other:
        next(other.messages())
    with pytest.raises(ChildProcessError):
        os.waitpid(other._pid, os.WNOHANG)

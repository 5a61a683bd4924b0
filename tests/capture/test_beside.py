"""A second process: its results, its failures, and that nothing of it is left."""

import os
from collections.abc import Iterator

import pytest

from trace_go.capture.beside import Beside, possible

pytestmark = pytest.mark.skipif(not possible(), reason="one processor, or no fork")


def test_results_come_in_order_and_whole() -> None:
    pieces = [bytes([number]) * size for number, size in enumerate((1, 5_000_000, 3))]
    with Beside(lambda: pieces) as other:
        assert list(other.results()) == pieces


def test_it_has_what_the_first_process_has_and_is_another() -> None:
    here = os.getpid()
    with Beside(lambda: [str(os.getpid() == here).encode(), str(here).encode()]) as other:
        assert list(other.results()) == [b"False", str(here).encode()]


def test_work_that_breaks_off_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> Iterator[bytes]:
        yield b"first"
        raise ValueError

    with Beside(work) as other:
        results = other.results()
        with pytest.raises(ChildProcessError):
            list(results)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_left_of_one_that_nobody_waits_for() -> None:
    def work() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with Beside(work) as other:
        next(other.results())
    with pytest.raises(ChildProcessError):
        os.waitpid(other._pid, os.WNOHANG)

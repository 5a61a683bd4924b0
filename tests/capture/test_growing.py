"""Captures that are still being written: whatever comes when, the same packets; the end is told, or a pipe has one."""

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.test_files import PACKETS, Packet, pcap
from trace_go.capture import growing
from trace_go.capture.files import open_capture
from trace_go.capture.growing import Growing
from trace_go.model.errors import CaptureError
from trace_go.model.report import CaptureFile

BLOB = pcap(PACKETS * 5)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "POLL_S", 0)


def followed(path: Path, pause: Callable[[threading.Event], None], chunk: int = 1 << 20) -> tuple[int, CaptureFile]:
    """How many packets there were. pause: called each time that more is waited for."""
    stop = threading.Event()
    with open_capture(str(path), chunk, partial(Growing, stop=stop, pause=lambda: pause(stop))) as reader:
        assert reader.bytes_total is None
        return sum(map(len, reader.batches())), reader.describe()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, len(BLOB)), max_size=8), st.integers(1, 400))
def test_a_file_that_grows(tmp_path: Path, cuts: list[int], chunk: int) -> None:
    path, pieces, at = tmp_path / "x.pcap", [], 0
    for cut in [*sorted(cuts), len(BLOB)]:
        pieces.append(BLOB[at:cut])
        at = cut
    path.write_bytes(b"")

    def write_on(stop: threading.Event) -> None:
        with path.open("ab") as file:
            file.write(pieces.pop(0))
        if not pieces:
            stop.set()  # what was written until then is still read

    count, file = followed(path, write_on, chunk)
    assert (count, file.packets, file.problem) == (15, 15, None)


def test_a_record_that_is_not_whole_yet_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(BLOB[:-1])
    count, file = followed(path, threading.Event.set)
    assert (count, file.problem) == (14, None)


@pytest.mark.parametrize("size", [0, 10])
def test_a_file_that_never_begins(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(BLOB[:size])
    with pytest.raises(CaptureError, match=r"is empty|ends in its file header"):
        followed(path, threading.Event.set)


def test_a_file_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(BLOB)
    count, file = followed(path, lambda _: os.truncate(path, 50))
    assert count == 15
    assert file.problem is not None
    assert file.problem.endswith("after packet 15: the file became shorter while it was followed")


def test_damage_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(BLOB + b"\xff" * 100)
    count, file = followed(path, pytest.fail)
    assert count == 15
    assert "a record claims" in (file.problem or "")


@pytest.mark.parametrize(("size", "problem"), [(len(BLOB), None), (len(BLOB) - 1, "the last record is cut off")])
def test_a_pipe_ends_with_its_writer(tmp_path: Path, size: int, problem: str | None) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[BLOB[:size]])
    writer.start()
    count, file = followed(path, lambda _: None)
    writer.join()
    assert count == 14 + (problem is None)
    assert (file.problem or "").endswith(problem or "")


def test_a_pipe_is_left_when_told(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDWR), "wb", 0) as pipe:
        pipe.write(BLOB)
        count, file = followed(path, threading.Event.set)
    assert (count, file.problem) == (15, None)


def test_a_file_that_shrinks_while_it_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(BLOB)
    packets: list[Packet | int] = []
    with open_capture(str(path), 400) as reader:
        for batch in reader.batches():
            packets += batch.captured.tolist()
            os.truncate(path, 400)
        problem = reader.describe().problem
    assert 0 < len(packets) < 15
    assert problem is not None
    assert problem.endswith("the file became shorter while it was read")

"""Several captures as one: ring buffers, taps and interfaces, pipes, folders, very many small files."""

import itertools
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.test_files import Packet, pcap, spot
from capture.test_pcapng import epb, idb, shb, spb
from trace_go.capture import merge as merge_module
from trace_go.capture.merge import Merge, captures_in
from trace_go.model.evidence import file_of, number_in_file
from trace_go.model.report import CaptureFile

__all__ = ["spot"]

SECOND = 1_000_000_000
Seen = tuple[int, int, int, bytes]  # file, number, time, data


def read(*paths: Path | str) -> tuple[list[Seen], tuple[CaptureFile, ...]]:
    seen: list[Seen] = []
    merge = Merge([str(path) for path in paths])
    for batch in merge.batches():
        columns = (batch.offset, batch.offset + batch.captured, batch.time_ns)
        for row, (start, end, time_ns) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            number = int(batch.number(row))
            seen.append((file_of(number), number_in_file(number), time_ns, batch.data[start:end].tobytes()))
    return seen, merge.files


def packets(*seconds: float) -> list[Packet]:
    return [(int(at * SECOND), b"at %r" % at, 20) for at in seconds]


def write(folder: Path, **files: list[Packet]) -> list[Path]:
    for name, content in files.items():
        (folder / name).write_bytes(pcap(content))
    return [folder / name for name in files]


def test_parts_are_read_in_order_of_time(tmp_path: Path) -> None:
    paths = write(tmp_path, late=packets(30, 31), early=packets(1, 2, 3), middle=packets(4))
    seen, files = read(*paths)
    assert [(at / SECOND, file, number) for file, number, at, _ in seen] == [
        (1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 1), (30, 2, 1), (31, 2, 2),
    ]  # fmt: skip
    assert [Path(file.name).name for file in files] == ["early", "middle", "late"]


def test_packets_of_overlapping_files_alternate(tmp_path: Path) -> None:
    seen, _ = read(*write(tmp_path, up=packets(1, 3, 5, 5), down=packets(2, 4, 5, 9)))
    assert [data for *_, data in seen] == [b"at %r" % at for at in (1, 2, 3, 4, 5, 5, 5, 9)]
    assert [file for file, *_ in seen] == [0, 1, 0, 1, 0, 0, 1, 1]


def test_inside_a_file_the_order_stays(tmp_path: Path) -> None:
    seen, _ = read(*write(tmp_path, a=packets(5, 1, 6), b=packets(2, 5.5)))
    assert [(file, number) for file, number, *_ in seen if file == 0] == [(0, 1), (0, 2)]
    assert [data for *_, data in seen] == [b"at %r" % at for at in (2, 5, 1, 5.5, 6)]


def test_files_without_time_or_packets_come_last(tmp_path: Path) -> None:
    untimed = tmp_path / "untimed"
    untimed.write_bytes(shb() + idb() + spb() * 2)
    seen, files = read(untimed, *write(tmp_path, empty=[], timed=packets(7)), tmp_path / "missing")
    assert [(file, number) for file, number, *_ in seen] == [(0, 1), (1, 1), (1, 2)]
    assert [Path(file.name).name for file in files] == ["timed", "untimed", "empty", "missing"]
    assert [bool(file.problem) for file in files] == [False, False, False, True]


def test_packets_in_front_of_the_first_time(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(shb() + idb() + spb(b"untimed!", length=8) + epb(b"later", 5_000_000))
    seen, _ = read(odd, *write(tmp_path, other=packets(1, 9)))
    assert [data for *_, data in seen] == [b"at 1", b"untimed!", b"later", b"at 9"]


def test_pipes_are_read_once(tmp_path: Path) -> None:
    pipes = {tmp_path / "one": pcap(packets(2, 4)), tmp_path / "two": pcap(packets(1, 3))}
    for pipe in pipes:
        os.mkfifo(pipe)
    writers = [threading.Thread(target=pipe.write_bytes, args=[content]) for pipe, content in pipes.items()]
    for writer in writers:
        writer.start()
    seen, files = read(*pipes, *write(tmp_path, plain=packets(2.5)))
    for writer in writers:
        writer.join()
    assert [at / SECOND for _, _, at, _ in seen] == [1, 2, 2.5, 3, 4]
    assert [file.packets for file in files] == [2, 2, 1]


def test_one_capture_alone_is_passed_through(tmp_path: Path) -> None:
    (path,) = write(tmp_path, x=packets(3, 2, 1))
    seen, _ = read(path)
    assert [(file, number, at) for file, number, at, _ in seen] == [(0, n, (4 - n) * SECOND) for n in (1, 2, 3)]


def test_when_capturing_ended(tmp_path: Path) -> None:
    paths = write(tmp_path, a=packets(1, 5), b=packets(2, 3), c=packets(5.5, 6), d=packets(90, 91), e=[])
    merge = Merge([str(path) for path in paths])
    list(merge.batches())
    assert merge.ends_ns == (6 * SECOND, 91 * SECOND)


moments = st.lists(st.integers(1, 40), max_size=12)


@given(st.lists(moments, min_size=2, max_size=5), st.sampled_from([1, 3, 1 << 16]), st.sampled_from([0, 1 << 14]))
def test_as_a_sort_of_all(spot: Path, files: list[list[int]], rows: int, tiny: int) -> None:
    folder = Path(tempfile.mkdtemp(dir=spot.parent))
    paths = write(folder, **{f"f{n}": packets(*sorted(times)) for n, times in enumerate(files)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_module, "SOME_ROWS", rows)
        patch.setattr(merge_module, "TINY_BYTES", tiny)
        patch.setattr(merge_module, "LEAST_CHUNK", 1)
        patch.setattr(merge_module, "CHUNK_BYTES", 64)
        seen, told = read(*paths)
    assert [at // SECOND for _, _, at, _ in seen] == sorted(itertools.chain.from_iterable(files))
    for index, file in enumerate(told):
        wanted = [data for _, data, _ in packets(*sorted(files[int(Path(file.name).name[1:])]))]
        mine = [(number, data) for which, number, _, data in seen if which == index]
        assert mine == list(enumerate(wanted, 1))


def test_folders(tmp_path: Path) -> None:
    below = tmp_path / "below" / "more"
    below.mkdir(parents=True)
    (a, b), (c,) = write(tmp_path, a=packets(1), b=packets(2)), write(below, c=packets(3))
    (tmp_path / "notes.txt").write_text("not a capture")
    (tmp_path / "link").symlink_to(a)
    (tmp_path / "dangling").symlink_to("nowhere")
    (below / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    found, others = captures_in(str(tmp_path))
    assert found == sorted(map(str, (a, b, c, tmp_path / "link", tmp_path / "dangling")))
    assert others == 2  # the text and the pipe

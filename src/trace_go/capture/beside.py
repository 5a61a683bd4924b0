"""Work that goes on in a second process: a fork, which has all that the first one has, and memory that both share.

What the second process says goes through a pipe, and whatever is large beside it through the memory: it is written
there once and used where it lies. On Linux only: the system libraries of macOS do not survive a fork, Windows has none,
and to start Python afresh there would take longer than most captures.
"""

import mmap
import os
import signal
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np

from trace_go.model.packets import U8

_FAILED = 1
CELLS = 2
"""one is filled while the other is worked on"""
HEAP_BYTES = 16 << 20
"""for what is sent: two batches of columns of the greatest size"""
_HEAD = struct.Struct("<4Q")
"""number of the cell, place and size in the heap, size of the content behind this"""
_END = _HEAD.pack(CELLS, 0, 0, 0)


class Message(NamedTuple):
    """`cell` and `blob` are right until the next message is asked for."""

    content: bytes
    cell: U8
    """the one that was last asked for when the message was sent"""
    blob: U8
    """what was sent beside the content"""


class Sender:
    """The second process's end."""

    def __init__(self, sending: int, taken: int, cells: Sequence[mmap.mmap], heap: U8) -> None:
        self._out, self._taken_from, self._memories, self._heap = os.fdopen(sending, "wb"), taken, cells, heap
        self._cells = [np.frombuffer(memory, np.uint8) for memory in cells]
        self._sent = self._taken = 0
        """messages; taken: those that the first process is done with"""
        self._last_of = [0] * len(cells)
        """messages sent when the cell was left"""
        self._turn = 0
        self._begin = self._end = 0
        """of what is used of the heap, counted on over its end; nothing lies across that"""
        self._used = deque[tuple[int, int]]()
        """message, and the end of what it uses"""

    @property
    def cell(self) -> U8:
        """What messages are about now."""
        return self._cells[self._turn]

    def next_cell(self) -> U8:
        """Memory for the next large thing, which messages from now on are about; waits until it is free."""
        self._last_of[self._turn] = self._sent
        self._turn = (self._turn + 1) % len(self._cells)
        self._await(self._last_of[self._turn])
        return self.cell

    def send(self, content: bytes, blob: Sequence[U8] = ()) -> None:
        """content: goes through the pipe; blob: goes through the memory, put together."""
        size = sum(map(len, blob))
        start = at = self._room(size)
        for part in blob:
            self._heap[at : at + len(part)] = part
            at += len(part)
        self._sent += 1
        self._used.append((self._sent, self._end))
        self._out.write(_HEAD.pack(self._turn, start, size, len(content)) + content)
        self._out.flush()

    def settle(self) -> None:
        """Wait until all has been taken."""
        self._await(self._sent)

    def forget_cells(self) -> None:
        """Give their memory back, when all has been taken; what they hold is lost."""
        self.settle()
        for memory in self._memories:
            memory.madvise(mmap.MADV_REMOVE)

    def finish(self) -> None:
        self.settle()
        self._out.write(_END)
        self._out.close()

    def _room(self, size: int) -> int:
        """Where in the heap there is room; waits for it."""
        whole = len(self._heap)
        if size > whole:
            raise MemoryError
        skipped = -self._end % whole
        self._end += size if size <= skipped or not skipped else skipped + size
        while self._end > self._begin + whole:
            message, self._begin = self._used.popleft() if self._used else (0, self._end - size)
            self._await(message)
        return (self._end - size) % whole

    def _await(self, message: int) -> None:
        while self._taken < message:
            got = os.read(self._taken_from, 4096)
            if not got:
                raise EOFError
            self._taken += len(got)


class Beside:
    """Runs `work` in the second process from now on; a context manager, whose end is also the process's."""

    def __init__(self, work: Callable[[Sender], None], cell_bytes: int = 0) -> None:
        """cell_bytes: of each of the CELLS; what is not used takes no memory. Raises OSError when there is no room."""
        *cells, heap = (mmap.mmap(-1, max(size, 1)) for size in (*[cell_bytes] * CELLS, HEAP_BYTES))
        *self._cells, self._heap = (np.frombuffer(memory, np.uint8) for memory in (*cells, heap))
        pipes = [*os.pipe(), *os.pipe()]
        receiving, sending, taken, taking = pipes
        try:
            self._pid = os.fork()
        except OSError:
            for end in pipes:
                os.close(end)
            raise
        if not self._pid:
            os.close(receiving)
            os.close(taking)
            _work(work, sending, taken, cells, self._heap)
        os.close(sending)
        os.close(taken)
        self._in, self._taking = os.fdopen(receiving, "rb"), taking

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        os.close(self._taking)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def messages(self) -> Iterator[Message]:
        """What the work sends, in order. Raises OSError when it broke off."""
        while (head := self._exactly(_HEAD.size)) != _END:
            cell, start, length, size = _HEAD.unpack(head)
            yield Message(self._exactly(size), self._cells[cell], self._heap[start : start + length])
            os.write(self._taking, b"\0")

    def _exactly(self, size: int) -> bytes:
        found = self._in.read(size)
        if len(found) < size:
            raise ChildProcessError
        return found


def possible() -> bool:
    """Whether a second process can be made, and has a processor of its own."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def _work(work: Callable[[Sender], None], sending: int, taken: int, cells: Sequence[mmap.mmap], heap: U8) -> None:
    """Never returns: what the first process would do at its end is not done twice."""
    status = _FAILED
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sender = Sender(sending, taken, cells, heap)
        work(sender)
        sender.finish()
        status = 0
    finally:
        os._exit(status)

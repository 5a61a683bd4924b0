"""Work that goes on in a second process: a fork, which has all that the first one has, and a pipe for its results.

On Linux only: the system libraries of macOS do not survive a fork, Windows has none, and to start Python afresh there
would take longer than most captures.
"""

import os
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Self

_SIZE = struct.Struct("<Q")
_FAILED = 1
PIPE_BYTES = 1 << 20
"""what a pipe holds at most (/proc/sys/fs/pipe-max-size) for others than root; 64 KiB unless it is asked for"""


def possible() -> bool:
    """Whether a second process can be made, and has a processor of its own."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


class Beside:
    """Runs `work` in the second process from now on; a context manager, whose end is also the process's."""

    def __init__(self, work: Callable[[], Iterable[bytes]]) -> None:
        """Raises OSError when there is no room for another process."""
        receiving, sending = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(receiving)
            os.close(sending)
            raise
        if not self._pid:
            _work(work, sending)
        os.close(sending)
        self._results = os.fdopen(receiving, "rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._results.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def results(self) -> Iterator[bytes]:
        """What the work yields, none of it empty. Raises ChildProcessError when it broke off."""
        while size := _SIZE.unpack(self._exactly(_SIZE.size))[0]:
            yield self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        found = self._results.read(size)
        if len(found) < size:
            raise ChildProcessError
        return found


def _work(work: Callable[[], Iterable[bytes]], sending: int) -> None:
    """Never returns: what the first process would do at its end is not done twice."""
    status = _FAILED
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        import fcntl  # not on Windows

        fcntl.fcntl(sending, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with os.fdopen(sending, "wb") as out:
            for piece in work():
                out.write(_SIZE.pack(len(piece)))
                out.write(piece)
            out.write(_SIZE.pack(0))
        status = 0
    finally:
        os._exit(status)

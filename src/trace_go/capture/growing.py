"""A capture that another program is still writing, a file or a pipe: what is there is read, then what comes."""

import io
import os
import select
import stat
from collections.abc import Callable
from threading import Event

from trace_go.capture.unpack import Plain

POLL_S = 0.25
"""between two looks at a file, which tells nobody that it has grown"""


class Growing(Plain):
    """Ends when `stop` is set, with what is there by then; a pipe also when nobody writes into it any more."""

    def __init__(self, raw: io.FileIO, stop: Event, pause: Callable[[], None]) -> None:
        """pause: called each time before more is waited for"""
        super().__init__(raw)
        self.grows = stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        self._stop, self._pause = stop, pause
        self._over = False

    def read(self, count: int) -> bytes:
        found = super().read(count)
        while len(found) == self.taken < count and self.goes_on():  # the head of the file is still to come
            found += super().read(count - len(found))
        return found

    def readinto(self, view: memoryview) -> int:
        if not self.grows and not self._ready(0):
            return 0
        got = super().readinto(view)
        self._over = self._over or not (got or self.grows)
        return got

    def goes_on(self) -> bool:
        if self.grows and os.fstat(self._raw.fileno()).st_size < self.taken:
            self.trouble = "the file became shorter while it was followed"
        if self._over or self.trouble:
            return False
        self._pause()
        if self.grows:
            self._stop.wait(POLL_S)
        else:
            self._ready(POLL_S)
        self._over = self._stop.is_set()  # what is there by now is still read
        return True

    def _ready(self, wait_s: float) -> bool:
        return bool(select.select([self._raw], [], [], wait_s)[0])

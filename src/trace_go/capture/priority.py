"""What we do beside the traced command gives way to it."""

import os
import sys
from contextlib import suppress

# A tenth of the weight of the command where both want one processor (sched(7)).
_NICE = 10


def give_way() -> None:
    """Lower the priority of the calling thread; Linux only, since elsewhere nice(2) is for the whole process."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.nice(_NICE)

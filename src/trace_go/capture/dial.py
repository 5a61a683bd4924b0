"""Connects to a host of which some addresses may be dead: Happy Eyeballs (RFC 8305) without its sorting.

The addresses are tried in the order of the system's resolver, each a little later than the one before it, or as soon
as that has failed; the first that accepts wins.
"""

import os
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

STAGGER_S = 0.25
"""until the next address is tried as well (RFC 8305 §5)"""
MAX_ADDRESSES = 16
"""of one name; the large mirrors have eight"""

Address: TypeAlias = tuple[int, int, int, str, Any]
"""of getaddrinfo"""


def dial(host: str, port: int, end_s: float) -> socket.socket:
    """A connected socket. end_s: of time.monotonic.

    Raises TimeoutError, or the last OSError when every address failed; ValueError for names that IDNA cannot encode.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:MAX_ADDRESSES]
    tried: list[socket.socket] = []
    found = None
    try:
        found = _first(addresses, tried, end_s)
    finally:
        for attempt in tried:
            if attempt is not found:
                attempt.close()
    found.setblocking(True)
    return found


def _first(addresses: Sequence[Address], tried: list[socket.socket], end_s: float) -> socket.socket:
    error: OSError = TimeoutError()
    with selectors.DefaultSelector() as waiting:
        while addresses or waiting.get_map():
            if addresses:
                (family, kind, protocol, _, address), *addresses = addresses
                try:
                    attempt = socket.socket(family, kind, protocol)
                except OSError as problem:  # no such address family here
                    error = problem
                    continue
                tried.append(attempt)
                attempt.setblocking(False)
                attempt.connect_ex(address)
                waiting.register(attempt, selectors.EVENT_WRITE)
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            for key, _ in waiting.select(min(left_s, STAGGER_S) if addresses else left_s):
                attempt = next(item for item in tried if item is key.fileobj)
                waiting.unregister(attempt)
                code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    return attempt
                error = OSError(code, os.strerror(code))
    raise error

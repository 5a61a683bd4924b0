"""Questions to the Linux kernel that are answered by a list (netlink(7), dumps)."""

import socket
import struct
from collections.abc import Iterator

ROUTE, SOCK_DIAG = 0, 4
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_REPLY_BYTES = 1 << 17


def dump(protocol: int, kind: int, question: bytes) -> Iterator[bytes]:
    """The bodies of the kernel's answers to one question of type `kind`. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(question), kind, _REQUEST_DUMP, 0, 0) + question)
        while True:
            data = kernel.recv(_REPLY_BYTES)
            at = 0
            while at < len(data):
                length, answer, *_ = _HEADER.unpack_from(data, at)
                if answer in (_DONE, _ERROR):
                    return
                yield data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3

"""Writes what passes an interface into a pcap file: `python -m lab.recorder INTERFACE FILE`, until SIGTERM.

tcpdump cannot be used: as root of a user namespace it insists on changing its user, which is refused there. So is
SO_RCVBUFFORCE, and a packet socket's default buffer holds only a few offloaded packets; a ring is free of that limit.
Sources: linux/if_packet.h (TPACKET_V3); draft-ietf-opsawg-pcap (nanoseconds).
"""

import mmap
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from threading import Event

SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, TPACKET_V3 = 263, 5, 6, 10, 2
ETH_P_ALL = 3
BLOCK_BYTES, BLOCKS = 1 << 20, 64
HAND_OVER_MS = 10  # a block that is not full is handed over after this time
QUIET_MS = 100  # after SIGTERM the ring is read until it stays empty this long, several times HAND_OVER_MS
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 0x40000, 1)  # Ethernet
BLOCK_STATUS = struct.Struct("8xIII")  # status (1: ours to read), packets, offset of the first
PACKET = struct.Struct("IIIIIIH")  # next, seconds, nanoseconds, kept bytes, bytes, status, offset of the frame


def main(interface: str, path: str) -> None:
    """Record until SIGTERM; "recording" on standard output means that from now on nothing is missed."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock, open(path, "wb") as out:
        sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        frames = BLOCK_BYTES // 2048 * BLOCKS
        request = struct.pack("7I", BLOCK_BYTES, BLOCKS, 2048, frames, HAND_OVER_MS, 0, 0)
        sock.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        ring = mmap.mmap(sock.fileno(), BLOCK_BYTES * BLOCKS)
        ready = select.poll()
        ready.register(sock, select.POLLIN)
        sock.bind((interface, ETH_P_ALL))
        out.write(FILE_HEADER)
        print("recording", flush=True)
        block = 0
        while True:
            status, packets, first = BLOCK_STATUS.unpack_from(ring, block)
            if status & 1:
                write_block(ring, block + first, packets, out.write)
                struct.pack_into("I", ring, block + 8, 0)  # back to the kernel
                block = (block + BLOCK_BYTES) % len(ring)
            elif not ready.poll(QUIET_MS) and stop.is_set():
                break
        statistics = struct.unpack("III", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
    print("packets {}, dropped {}".format(*statistics))


def write_block(ring: mmap.mmap, offset: int, packets: int, write: Callable[[bytes], object]) -> None:
    for _ in range(packets):
        following, seconds, nanoseconds, kept, length, _, start = PACKET.unpack_from(ring, offset)
        data = ring[offset + start : offset + start + kept]
        write(struct.pack("<IIII", seconds, nanoseconds, kept, length) + data)
        offset += following


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

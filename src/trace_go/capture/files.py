"""Opening capture files of any kind, and pcap records to packet columns.

Source: draft-ietf-opsawg-pcap. A file that breaks off or turns into nonsense is read up to there;
`Reader.describe().problem` then says where and why.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from trace_go.capture.pcapng import (
    BATCH_ROWS,
    BYTE_ORDERS,
    MAX_BLOCK,
    MAX_CAPTURED,
    SECTION_START,
    SLACK,
    Decoder,
    Framing,
    PcapngDecoder,
    gather,
    walk,
)
from trace_go.capture.unpack import Plain, Source, maybe_unpacked
from trace_go.model.errors import CaptureError
from trace_go.model.packets import U8, Batch, LinkType
from trace_go.model.report import CaptureFile

CHUNK_BYTES = 32 * 1024 * 1024
"""Read at once. Measured from 4 to 96 MiB: smaller ones pay more per chunk, larger ones fall out of the cache."""
OLD_VERSION, DGUX_VERSION = (2, 3), 543  # before 2.3, and in DG/UX's, the two lengths of a record are swapped (libpcap)
HEAD_BYTES = 28  # a pcapng section header without options; the file header of pcap has 24

LINK_NAMES: dict[int, str] = {
    LinkType.NULL: "BSD loopback",
    LinkType.ETHERNET: "Ethernet",
    LinkType.RAW_BSD: "Raw IP",
    LinkType.RAW_OPENBSD: "Raw IP",
    LinkType.RAW: "Raw IP",
    LinkType.LOOP: "OpenBSD loopback",
    LinkType.LINUX_SLL: "Linux cooked v1",
    LinkType.IPV4: "Raw IPv4",
    LinkType.IPV6: "Raw IPv6",
    LinkType.LINUX_SLL2: "Linux cooked v2",
    LinkType.PPP: "PPP",
    LinkType.PPP_HDLC: "PPP over HDLC",
    LinkType.PPP_ETHER: "PPPoE",
    LinkType.PPP_PPPD: "PPP of pppd",
    LinkType.PPP_WITH_DIRECTION: "PPP with direction",
    LinkType.C_HDLC: "Cisco HDLC",
    LinkType.FRAME_RELAY: "Frame Relay",
    LinkType.ATM_RFC1483: "ATM",
    LinkType.FDDI: "FDDI",
    LinkType.ARCNET_BSD: "ARCNET",
    LinkType.ARCNET_LINUX: "ARCNET",
    LinkType.APPLE_IP_OVER_IEEE1394: "IP over FireWire",
    LinkType.IEEE802_11: "802.11",
    LinkType.IEEE802_11_PRISM: "802.11 with Prism header",
    LinkType.IEEE802_11_AVS: "802.11 with AVS header",
    LinkType.IEEE802_11_RADIOTAP: "802.11 with radiotap",
    LinkType.PPI: "PPI",
    LinkType.PKTAP: "PKTAP",
    LinkType.USER2: "PKTAP",
    LinkType.NFLOG: "NFLOG",
    LinkType.MPLS: "MPLS",
    LinkType.ETHERNET_MPACKET: "Ethernet with preamble",
    LinkType.USB_LINUX: "USB (Linux)",
    LinkType.USB_LINUX_MMAPPED: "USB (Linux)",
    LinkType.USBPCAP: "USBPcap",
    LinkType.BRCM_TAG: "Ethernet with Broadcom tag",
    LinkType.BRCM_TAG_PREPEND: "Ethernet behind Broadcom tag",
    LinkType.DSA_TAG_DSA: "Ethernet with DSA tag",
    LinkType.DSA_TAG_EDSA: "Ethernet with EDSA tag",
}
"""all that are understood"""


class Variant(NamedTuple):
    order: str
    tick_ns: int
    record_words: int
    """32-bit words of a record header"""


PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": Variant("<", 1000, 4),
    b"\xa1\xb2\xc3\xd4": Variant(">", 1000, 4),
    b"\x4d\x3c\xb2\xa1": Variant("<", 1, 4),
    b"\xa1\xb2\x3c\x4d": Variant(">", 1, 4),
    b"\x34\xcd\xb2\xa1": Variant("<", 1000, 6),  # Kuznetzov's: interface, protocol and packet type follow the lengths
    b"\xa1\xb2\xcd\x34": Variant(">", 1000, 6),
}


OPENING_ADVICE: dict[type[Exception], str] = {
    FileNotFoundError: "check the path",
    IsADirectoryError: "no file in it is a capture",
    PermissionError: "make it readable, or run as a user who may read it",
}


class PcapDecoder(Decoder):
    """A file header, then records of seconds, fraction, captured length, length (modified: two words more) and data."""

    format = "pcap"
    header_bytes = 24

    def __init__(self, head: bytes) -> None:
        """head: the file header, 24 bytes or more"""
        super().__init__()
        self._variant = PCAP_MAGICS[head[:4]]
        major, minor = np.frombuffer(head, f"{self._variant.order}u2", 2, 4).tolist()
        self._swapped = (major, minor) < OLD_VERSION or major == DGUX_VERSION
        snap, network = np.frombuffer(head, f"{self._variant.order}u4", 2, 16).tolist()
        self.link_types = [network & 0xFFFF]  # above it: length of the frame check sequence
        self._most = max(MAX_CAPTURED, min(snap, MAX_BLOCK))

    def decode(self, data: U8, start: int, filled: int) -> Iterator[Batch]:
        self.used = start
        order, tick_ns, words = self._variant
        high = 3 if order == "<" else 0  # the byte of the seconds that changes twice a year
        length_at = 12 if self._swapped else 8
        framing = Framing(order=order, length_at=length_at, extra=4 * words, mark_at=high, mark=int(data[start + high]))
        at = walk(data, start, filled - 4 * words + 1, framing)
        for rows in np.split(at, range(BATCH_ROWS, len(at), BATCH_ROWS)):
            seconds, fraction, captured, length = gather(data, rows, 4, order).T.astype(np.int64)
            if self._swapped:
                captured, length = length, captured
            offset = rows + 4 * words
            good = (captured <= self._most) & (offset + captured <= filled)
            count = len(rows) if good.all() else int(good.argmin())
            if count:
                self.used = int(offset[count - 1] + captured[count - 1])
                columns = (offset, captured, length, seconds * 10**9 + fraction * tick_ns)
                linktype = np.full(count, self.link_types[0], np.int64)
                yield self.batch(data, *(column[:count] for column in columns), linktype)
            if count < len(rows):
                if captured[count] > self._most:
                    self.fault = f"a record claims {captured[count]} bytes"
                return


Memory = Callable[[int], U8]
"""bytes → memory for as many: of the next chunk, when the batches of the one before are no longer needed"""


class Reused:
    """The same memory for every chunk."""

    def __init__(self) -> None:
        self._memory = np.zeros(0, np.uint8)

    def __call__(self, size: int) -> U8:
        if len(self._memory) < size:
            self._memory = np.zeros(size, np.uint8)
        return self._memory[:size]


class Reader:
    """One open capture. `bytes_read` of `bytes_total` (None for a pipe) is the progress in the file as it is stored."""

    def __init__(
        self, raw: io.FileIO, name: str, chunk_bytes: int, source: Source | None = None, memory: Memory | None = None
    ) -> None:
        """Reads no further than the file header; raises CaptureError when that is not one of a capture.

        source: the bytes of `raw`, when they are not to be read as they are. memory: of the chunks.
        """
        status = os.fstat(raw.fileno())
        self._raw, self._name = raw, name
        self._source = source or Plain(raw)
        self._memory = memory or Reused()
        whole = stat.S_ISREG(status.st_mode) and not self._source.grows
        self.bytes_total = status.st_size if whole else None
        self._head = self._source.read(HEAD_BYTES)
        if unpacked := maybe_unpacked(self._source, self._head):
            self._source = unpacked
            self._head = self._source.read(HEAD_BYTES)
        most = None if self._source.packing else self.bytes_total
        self._chunk_bytes = max(min(chunk_bytes, most or chunk_bytes), HEAD_BYTES)
        self._decoder = self._choose_decoder()
        self._bytes = self._truncated = self._first_ns = self._last_ns = 0
        self.base = 0
        """where in the unpacked file the `data` of the latest batch begins"""
        self._problem: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    @property
    def bytes_read(self) -> int:
        return self._source.taken

    def batches(self) -> Iterator[Batch]:
        """The packets in file order, once; the arrays of a batch are overwritten when the next one is asked for."""
        decoder, source = self._decoder, self._source
        buffer = self._memory(self._chunk_bytes + SLACK)
        buffer[: len(self._head)] = np.frombuffer(self._head, np.uint8)
        start, filled, full = decoder.header_bytes, len(self._head), True
        while not decoder.fault and (full or source.goes_on()):
            room = len(buffer) - SLACK
            while filled < room and (got := source.readinto(buffer.data[filled:room])):
                filled += got
            full = filled == room
            for batch in decoder.decode(buffer, start, filled):
                self._count(batch)
                yield batch
            rest = buffer[decoder.used : filled]
            self.base, start, filled = self.base + decoder.used, 0, len(rest)
            # Twice as much only when chunk_bytes is small: no record is longer than MAX_BLOCK.
            buffer = self._memory((2 * room if 2 * filled > room else room) + SLACK)
            buffer[:filled] = rest
        what = decoder.fault or source.trouble
        if not what and self.bytes_total and source.taken < self.bytes_total:
            what = "the file became shorter while it was read"
        if not what and filled and not source.grows:
            what = "the last record is cut off"
        if what:
            unpacked = " of the unpacked data" if source.packing else ""
            self._problem = f"stopped at byte {self.base}{unpacked}, after packet {decoder.packets}: {what}"

    def take_key_logs(self) -> list[bytes]:
        """Texts of the decryption secrets that came before the last batch and were not taken yet."""
        taken, self._decoder.key_logs = self._decoder.key_logs, []
        return taken

    def describe(self) -> CaptureFile:
        """What was read so far; `problem` is known once `batches` has ended."""
        decoder = self._decoder
        names = (LINK_NAMES.get(number, f"LINKTYPE {number}") for number in decoder.link_types)
        return CaptureFile(
            name=self._name,
            format=decoder.format + self._source.packing,
            link_types=tuple(dict.fromkeys(names)),
            packets=decoder.packets,
            bytes=self._bytes,
            first_ns=self._first_ns,
            last_ns=self._last_ns,
            truncated_packets=self._truncated,
            drops=decoder.drops,
            problem=self._problem or self._not_understood(),
        )

    def _not_understood(self) -> str | None:
        """Said when no packet can be looked into; an odd interface beside others is no problem."""
        links = set(self._decoder.link_types)
        if not self._decoder.packets or not links or links & set(LINK_NAMES):
            return None
        names = ", ".join(f"LINKTYPE {number}" for number in sorted(links)[:3])
        return (
            f"the packets are of a link type that is not understood ({names}); capture on an Ethernet or IP interface"
        )

    def _count(self, batch: Batch) -> None:
        self._bytes += int(batch.captured.sum())
        self._truncated += int(np.count_nonzero(batch.captured < batch.length))
        times = batch.time_ns[batch.time_ns > 0]
        if len(times):
            first = int(times.min())
            self._first_ns = min(self._first_ns or first, first)
            self._last_ns = max(self._last_ns, int(times.max()))

    def _choose_decoder(self) -> Decoder:
        head, unpacked = self._head, " when unpacked" if self._source.packing else ""
        if _is_capture(head) and len(head) >= PcapDecoder.header_bytes:
            return PcapDecoder(head) if head[:4] in PCAP_MAGICS else PcapngDecoder()
        if self._source.trouble:
            raise CaptureError(f"{self._name}: {self._source.trouble} before any packet; get the file again")
        if not head:
            raise CaptureError(f"{self._name}: is empty{unpacked}; nothing was recorded, capture again")
        if len(head) < PcapDecoder.header_bytes and (head[:4] in PCAP_MAGICS or head[:4] == SECTION_START):
            raise CaptureError(f"{self._name}: ends in its file header, after {len(head)} bytes; get the file again")
        raise CaptureError(
            f"{self._name}: starts with {head[:4].hex(' ')}{unpacked}, not a pcap or pcapng; "
            "give a file saved by tcpdump, dumpcap or Wireshark"
        )


def begins_as_capture(path: str) -> bool:
    """Whether a file is plain and starts as a capture does, or cannot be read, so that one has to ask."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return False
        with io.FileIO(path) as raw:
            source: Source = Plain(raw)
            head = source.read(HEAD_BYTES)
            if unpacked := maybe_unpacked(source, head):
                head = unpacked.read(HEAD_BYTES)
            return _is_capture(head) or bool(source.trouble)
    except OSError:
        return True


def _is_capture(head: bytes) -> bool:
    return head[:4] in PCAP_MAGICS or (head[:4] == SECTION_START and head[8:12] in BYTE_ORDERS)


def open_capture(
    path: str,
    chunk_bytes: int = CHUNK_BYTES,
    source: Callable[[io.FileIO], Source] | None = None,
    memory: Memory | None = None,
) -> Reader:
    """Open a capture file, or standard input as `-`; use it as a context manager.

    chunk_bytes: read and decoded at once; source: makes the bytes that are read of the open file, when not all that it
    holds; memory: of the chunks. Raises CaptureError when nothing can be read.
    """
    name = "standard input" if path == "-" else path
    try:
        raw = io.FileIO(0, closefd=False) if path == "-" else io.FileIO(path)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        advice = OPENING_ADVICE.get(type(error), "check the path")
        raise CaptureError(f"{name}: cannot be opened: {what}; {advice}") from error
    try:
        if raw.isatty():
            raise CaptureError(f"{name}: is a terminal; pipe a capture into it")
        return Reader(raw, name, chunk_bytes, source(raw) if source else None, memory)
    except CaptureError:
        raw.close()
        raise

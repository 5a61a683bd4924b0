"""Key logs in NSS format, SSLKEYLOGFILE (RFC 9850): lines of a label, a client random and a secret, in hexadecimal.

Sans-IO: feed a file in pieces, several files one after the other. Nothing raises: lines that say nothing we know are
counted. Memory is bounded by the number of connections and of secrets kept for each.
"""

import re
from collections.abc import Iterable
from enum import IntEnum
from functools import cache

MAX_CONNECTIONS = 500_000  # ours; some 250 bytes each. A browser makes some thousands a day
MAX_KEPT = 1_024  # ours: bytes of secrets of one connection; TLS 1.3 with SHA-384 has 350
MAX_LINE = 512  # the longest line of RFC 9850 has 32 + 1 + 64 + 1 + 128 characters; what is longer is none


@cache
def _patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A line with a secret, and any line that says something. Compiled where there are keys: it takes a millisecond."""
    line = rb"^[ \t]*([A-Z][A-Z0-9_]{3,40})[ \t]+([0-9A-Fa-f]{64})[ \t]+((?:[0-9A-Fa-f]{2}){16,64})[ \t]*$"
    return re.compile(line, re.MULTILINE), re.compile(rb"^[ \t]*[^#\s]", re.MULTILINE)


class Label(IntEnum):
    """Secrets that open records; the value is how they are stored."""

    CLIENT_RANDOM = 1
    """the master secret of TLS 1.2 and before"""
    CLIENT_EARLY_TRAFFIC_SECRET = 2
    CLIENT_HANDSHAKE_TRAFFIC_SECRET = 3
    SERVER_HANDSHAKE_TRAFFIC_SECRET = 4
    CLIENT_TRAFFIC_SECRET_0 = 5
    SERVER_TRAFFIC_SECRET_0 = 6


_LABELS = {label.name.encode(): label for label in Label}
Secrets = dict[Label, tuple[bytes, ...]]
"""what key logs say of one connection; more than one value where they contradict each other"""


class KeyLog:
    """Secrets by client random."""

    def __init__(self) -> None:
        self.lines = 0
        """that name a secret, also one that opens no records (exporters)"""
        self.junk = 0
        """lines that are neither such nor a comment"""
        self.dropped = 0
        """secrets that were left out, see MAX_CONNECTIONS and MAX_KEPT"""
        self.count = 0
        """different secrets that open records"""
        self._rest = b""
        self._overlong = False  # the beginning of the open line was given up
        self._kept: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """Connections for which there is a secret that opens records."""
        return len(self._kept)

    def feed(self, data: bytes) -> None:
        """The next piece of a file."""
        data = self._rest + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        cut = data.rfind(b"\n") + 1
        if self._overlong and cut:
            data, cut = data[data.index(b"\n") + 1 :], cut - data.index(b"\n") - 1
            self._overlong = False
        self._rest = b"" if self._overlong else data[cut:]
        if len(self._rest) > MAX_LINE:
            self._rest, self._overlong, self.junk = b"", True, self.junk + 1
        self._take(data[:cut])

    def end(self) -> None:
        """The file ends: its last line may have no line feed."""
        self._take(self._rest)
        self._rest, self._overlong = b"", False

    def secrets(self, client_random: bytes) -> Secrets:
        found: Secrets = {}
        kept, at = self._kept.get(client_random, b""), 0
        while at < len(kept):
            label, secret = Label(kept[at]), kept[at + 2 : at + 2 + kept[at + 1]]
            found[label] = (*found.get(label, ()), secret)
            at += 2 + len(secret)
        return found

    def lines_of(self, client_randoms: Iterable[bytes]) -> bytes:
        """A key log of these connections alone."""
        return b"".join(
            f"{label.name} {random.hex()} {secret.hex()}\n".encode()
            for random in dict.fromkeys(client_randoms)
            for label, secrets in self.secrets(random).items()
            for secret in secrets
        )

    def __contains__(self, client_random: bytes) -> bool:
        return client_random in self._kept

    def _take(self, text: bytes) -> None:
        """Whole lines."""
        line, saying = _patterns()
        known = 0
        for name, random, secret in line.findall(text):
            known += 1
            label = _LABELS.get(name)
            if label:
                self._keep(bytes.fromhex(random.decode()), label, bytes.fromhex(secret.decode()))
        self.lines += known
        self.junk += sum(1 for _ in saying.finditer(text)) - known

    def _keep(self, random: bytes, label: Label, secret: bytes) -> None:
        before = self._kept.get(random, b"")
        item = bytes((label, len(secret))) + secret
        if item in before:
            return
        if (not before and len(self._kept) >= MAX_CONNECTIONS) or len(before) + len(item) > MAX_KEPT:
            self.dropped += 1
        else:
            self._kept[random] = before + item
            self.count += 1

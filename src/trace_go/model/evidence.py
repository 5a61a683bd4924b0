"""Why we say so. Every statement of a report carries at least one of these."""

from enum import StrEnum

from msgspec import Struct

FILE_SHIFT = 40
"""A packet's number, counted from 1 as Wireshark does, is in the lower 40 bits; above them is the index of its file.
So numbers rise through files that follow each other, and those of a single file are plain."""


def file_of(number: int) -> int:
    return number >> FILE_SHIFT


def number_in_file(number: int) -> int:
    return number & ((1 << FILE_SHIFT) - 1)


class EvidenceKind(StrEnum):
    PACKET = "packet"
    LOG = "log"
    ENV = "env"
    PROBE = "probe"
    INFERENCE = "inference"


class Visibility(StrEnum):
    """What this input lets us see of a fact; never silently absent."""

    SEEN = "seen"
    INFERRED = "inferred"
    PROBED = "probed"
    NOT_OBSERVABLE = "not observable"


class Confidence(StrEnum):
    CERTAIN = "certain"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Evidence(Struct, frozen=True, kw_only=True, gc=False):
    kind: EvidenceKind
    text: str
    """what it shows, in a few words; may quote the wire: escape at the sink"""
    packet: int | None = None
    """packet number in its file, from 1"""
    file: int = 0
    """index into CaptureInfo.files, for packets"""
    line: int | None = None
    """line of the command's log, from 1"""


def packet(number: int, text: str, file: int = 0) -> Evidence:
    """number: as in the columns, with its file above FILE_SHIFT; else it is one of `file`."""
    return Evidence(kind=EvidenceKind.PACKET, text=text, packet=number_in_file(number), file=file_of(number) or file)


def log(line: int, text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.LOG, text=text, line=line)


def env(text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.ENV, text=text)


def inference(text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.INFERENCE, text=text)


def probe(text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.PROBE, text=text)

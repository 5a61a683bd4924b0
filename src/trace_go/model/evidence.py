"""Why we say so. Every statement of a report carries at least one of these."""

from enum import StrEnum

from msgspec import Struct


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
    return Evidence(kind=EvidenceKind.PACKET, text=text, packet=number, file=file)


def log(line: int, text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.LOG, text=text, line=line)


def env(text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.ENV, text=text)


def inference(text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.INFERENCE, text=text)


def probe(text: str) -> Evidence:
    return Evidence(kind=EvidenceKind.PROBE, text=text)

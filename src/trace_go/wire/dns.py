"""DNS messages over UDP and TCP (RFC 1035, 3596, 7766, 9460).

Only the answer section is kept: names, addresses and targets are what a path needs. Authority and additional records
are not read.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from struct import Struct

from trace_go.model.dns import DnsMessage, DnsRecord
from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor

HEADER_BYTES = 12  # RFC 1035 §4.1.1
MAX_NAME_BYTES = 255  # RFC 1035 §2.3.4, length bytes and root included
MAX_POINTER_HOPS = 127  # the labels that fit in 255 bytes: a pointer without a label before it is of no use
MAX_QUESTIONS = 16  # RFC 9619 allows one; multicast DNS puts several into a packet
MAX_ANSWERS = 1_000  # ours: BIND's default for the records of one name and type is 100
MEMO_BYTES = 512  # RFC 1035 §4.2.1: the classic size of a UDP message; longer ones seldom repeat
MEMO_MESSAGES = 1_024  # ours: some 13 MB when every message is packed with records

_HEADER = Struct("!HHHHHH")
_QUESTION = Struct("!HH")
_RECORD = Struct("!HHIH")

_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 24: "SIG",
    25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 37: "CERT", 39: "DNAME", 41: "OPT", 43: "DS",
    44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 59: "CDS",
    60: "CDNSKEY", 64: "SVCB", 65: "HTTPS", 99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR",
    255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
_RCODES = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI",
)  # fmt: skip

_IN = 1
_A, _NS, _CNAME, _PTR, _AAAA, _DNAME, _SVCB, _HTTPS = 1, 2, 5, 12, 28, 39, 64, 65
_NAME_TYPES = frozenset({_NS, _CNAME, _PTR, _DNAME})
_TARGET_TYPES = frozenset({_SVCB, _HTTPS})

_PLAIN = re.compile(r"[!-\[\]-~]*")
_ODD = re.compile(r"[^!-~]|[.\\]")


def type_name(n: int) -> str:
    """`A`, `HTTPS`, … or `TYPE123` (RFC 3597 §5)."""
    return _TYPES.get(n) or f"TYPE{n}"


def rcode_name(n: int) -> str:
    """`NOERROR`, `NXDOMAIN`, … or `RCODE12`."""
    return _RCODES[n] if n < len(_RCODES) else f"RCODE{n}"


_GO_HEADERS = (bytes.fromhex("01000001000000000001"), bytes.fromhex("01200001000000000001"))
"""a query for one name that wants recursion, with one additional record; with AD where resolv.conf has trust-ad"""
_GO_OPT = bytes.fromhex("00002904d0000000000000")
"""OPT (RFC 6891) without options or flags, for answers of 1,232 bytes"""


def message(data: bytes) -> DnsMessage:
    """A whole message. The rcode is the header's four bits.

    Raises WireError unless the header and the questions can be read; damage after them is told in `oddities`.
    Identifiers differ where messages repeat, so the reading is remembered without them.
    """
    if len(data) < HEADER_BYTES:
        raise WireError(len(data), "shorter than a DNS header")
    read = _remembered if len(data) <= MEMO_BYTES else _read
    flags, questions, answers, oddities = read(b"\0\0" + data[2:])
    return DnsMessage(
        id=data[0] << 8 | data[1],
        is_response=bool(flags & 0x8000),
        opcode=flags >> 11 & 15,
        rcode=flags & 15,
        truncated=bool(flags & 0x0200),
        authoritative=bool(flags & 0x0400),
        questions=questions,
        answers=answers,
        oddities=oddities,
        as_go_asks=data[2:HEADER_BYTES] in _GO_HEADERS and data.endswith(_GO_OPT),
    )


def maybe_framed(data: bytes, pos: int) -> tuple[bytes, int] | None:
    """The message of DNS over TCP (RFC 7766 §8) at `pos` and the position after it; None = need more.

    Raises WireError when the length announced cannot hold a header.
    """
    start = pos + 2
    if len(data) < start:
        return None
    size = data[pos] << 8 | data[pos + 1]
    if size < HEADER_BYTES:
        raise WireError(pos, f"{size} bytes announced for a DNS message")
    end = start + size
    return (data[start:end], end) if len(data) >= end else None


_Sections = tuple[int, tuple[tuple[str, int], ...], tuple[DnsRecord, ...], tuple[str, ...]]


def _read(data: bytes) -> _Sections:
    """Flags, questions, answers, oddities."""
    cursor = Cursor(data)
    _, flags, question_count, answer_count, _, _ = _HEADER.unpack(cursor.pull_bytes(HEADER_BYTES))
    oddities: list[str] = []
    questions = []
    for _ in range(min(question_count, MAX_QUESTIONS)):
        name = _pull_name(cursor)
        kind, class_ = _QUESTION.unpack(cursor.pull_bytes(4))
        questions.append((name, kind))
        if class_ & 0x7FFF != _IN:  # the top bit is multicast DNS's wish for a unicast answer (RFC 6762 §5.4)
            oddities.append(f"question of class {class_}")
    if question_count > MAX_QUESTIONS:
        oddities.append(f"{question_count} questions announced, {MAX_QUESTIONS} read, no answer")
        return flags, tuple(questions), (), tuple(oddities)
    answers: list[DnsRecord] = []
    stop = f": more than {MAX_ANSWERS}"
    try:
        while len(answers) < min(answer_count, MAX_ANSWERS):
            answers.append(_pull_record(cursor, oddities))
    except WireError as error:
        stop = f": {error}"
    if len(answers) < answer_count:
        oddities.append(f"{answer_count} answers announced, {len(answers)} read{stop}")
    return flags, tuple(questions), tuple(answers), tuple(oddities)


_remembered = lru_cache(MEMO_MESSAGES)(_read)


def _pull_record(cursor: Cursor, oddities: list[str]) -> DnsRecord:
    name = _pull_name(cursor)
    kind, class_, ttl_s, size = _RECORD.unpack(cursor.pull_bytes(10))
    start = cursor.pos
    rdata = cursor.pull_bytes(size)
    value = None
    if class_ & 0x7FFF == _IN:
        try:
            value = _value(kind, rdata, Cursor(cursor.data, start, cursor.pos))
        except WireError as error:
            oddities.append(f"{type_name(kind)} record: {error}")
    return DnsRecord(name=name, type=kind, ttl_s=ttl_s, value=rdata.hex() if value is None else value)


def _value(kind: int, rdata: bytes, cursor: Cursor) -> str | None:
    """The presentation of data whose form we know; `cursor` reads the same bytes inside the message."""
    if kind == _A:
        if len(rdata) != 4:
            raise WireError(cursor.pos, f"{len(rdata)} bytes for an IPv4 address")
        return "{}.{}.{}.{}".format(*rdata)
    if kind == _AAAA:
        if len(rdata) != 16:
            raise WireError(cursor.pos, f"{len(rdata)} bytes for an IPv6 address")
        return str(IPv6Address(rdata))
    if kind in _NAME_TYPES:
        target = _pull_name(cursor)
        cursor.expect_end()
        return target
    if kind in _TARGET_TYPES:  # priority, target, parameters in hex (RFC 9460 §2.2)
        priority = cursor.pull_uint16()
        target = _pull_name(cursor)
        return f"{priority} {target} {cursor.pull_bytes(cursor.left).hex()}".rstrip()
    return None


def _pull_name(cursor: Cursor) -> str:
    """A name in presentation form (RFC 1035 §4.1.4, §5.1).

    A pointer must lead before the run of labels it ends, so the walk always ends. Labels behind a pointer may lie
    anywhere before the cursor's end.
    """
    data, end = cursor.data, cursor.end
    pos = run = cursor.pos
    size = 1
    hops = 0
    labels: list[bytes] = []
    while True:
        if pos >= end:
            raise WireError(pos, "name runs past the end")
        length = data[pos]
        if length < 0x40:
            pos += 1 + length
            if not length:
                break
            size += 1 + length
            if pos > end or size > MAX_NAME_BYTES:
                raise WireError(pos - length, "label runs past the end" if pos > end else "name longer than 255 bytes")
            labels.append(data[pos - length : pos])
        elif length >= 0xC0:
            if pos + 2 > end:
                raise WireError(pos, "pointer runs past the end")
            target = (length & 0x3F) << 8 | data[pos + 1]
            hops += 1
            if not HEADER_BYTES <= target < run or hops > MAX_POINTER_HOPS:
                raise WireError(pos, "too many pointers" if hops > MAX_POINTER_HOPS else "pointer does not lead back")
            if hops == 1:
                cursor.pos = pos + 2
            pos = run = target
        else:
            raise WireError(pos, "label of unknown kind")
    if not hops:
        cursor.pos = pos
    text = b".".join(labels).decode("latin-1")
    if not _PLAIN.fullmatch(text) or text.count(".") >= len(labels) > 0:
        text = ".".join([_ODD.sub(_escaped, label.decode("latin-1")) for label in labels])
    return text or "."


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return "\\" + char if char in ".\\" else f"\\{ord(char):03d}"

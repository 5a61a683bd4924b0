"""DER (X.690) as strict as golang.org/x/crypto/cryptobyte and the texts of crypto/x509/parser.go of go1.27.

Every `pull_*` moves the cursor past what it returns and raises WireError when that is not DER.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor

MAX_INT64 = 2**63 - 1  # go reads lengths and exponents into an int
MAX_TEXT = 1024  # characters kept of one text; RFC 5280 allows 64 for a common name, DNS 253 for a name

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OBJECT_ID = 0x01, 0x02, 0x03, 0x04, 0x06
UTF8, NUMERIC, PRINTABLE, T61, IA5, BMP = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1E
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31
TEXTS = frozenset((UTF8, NUMERIC, PRINTABLE, T61, IA5, BMP))

NOT_PRINTABLE = re.compile(rb"[^A-Za-z0-9'()+,\-./ :=?*&]")  # with the two extras go tolerates
TIME = re.compile(r"(\d\d|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|[+-]\d{4})", re.ASCII)


def pull_element(c: Cursor) -> tuple[int, Cursor]:
    """The next element: its tag and a cursor over its content; `c` moves past it."""
    start = c.pos
    tag, length = c.pull_uint8(), c.pull_uint8()
    if tag & 0x1F == 0x1F:
        raise WireError(start, "tag number above 30")
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise WireError(start, "length of no or more than four bytes")
        length = c.pull_uint(size)
        if length < 128 or length >> (size - 1) * 8 == 0:
            raise WireError(start, "length not in its shortest form")
    if length > c.left:
        raise WireError(start, f"{length} bytes announced, {c.left} left")
    begin = c.pos
    c.pos += length
    return tag, Cursor(c.data, begin, c.pos)


def pull_content(c: Cursor, tag: int, what: str) -> Cursor:
    start = c.pos
    found, content = pull_element(c)
    if found != tag:
        raise WireError(start, f"{what}: tag {found:#x} instead of {tag:#x}")
    return content


def next_is(c: Cursor, tag: int) -> bool:
    return c.left > 0 and c.data[c.pos] == tag


def pull_raw(c: Cursor, tag: int, what: str) -> tuple[bytes, Cursor]:
    """An element with its header, as bytes, and its content."""
    start = c.pos
    content = pull_content(c, tag, what)
    return c.data[start : c.pos], content


def rest(c: Cursor) -> bytes:
    return c.data[c.pos : c.end]


def pull_integer(c: Cursor, what: str, tag: int = INTEGER) -> int:
    content = pull_content(c, tag, what)
    raw = rest(content)
    if not raw or (len(raw) > 1 and (raw[0] << 1 | raw[1] >> 7) in (0, 0x1FF)):
        raise WireError(content.pos, f"{what}: integer not in its shortest form")
    return int.from_bytes(raw, "big", signed=True)


def pull_boolean(c: Cursor, what: str) -> bool:
    content = pull_content(c, BOOLEAN, what)
    raw = rest(content)
    if raw not in (b"\x00", b"\xff"):
        raise WireError(content.pos, f"{what}: no DER boolean")
    return raw == b"\xff"


def pull_bits(c: Cursor, what: str) -> tuple[int, bytes]:
    """The number of unused bits at the end, and the bytes."""
    content = pull_content(c, BIT_STRING, what)
    if not content.left:
        raise WireError(content.pos, f"{what}: empty bit string")
    padding, raw = content.pull_uint8(), rest(content)
    if padding > 7 or (padding and (not raw or raw[-1] & ((1 << padding) - 1))):
        raise WireError(content.pos, f"{what}: wrong bit padding")
    return padding, raw


def pull_aligned_bits(c: Cursor, what: str) -> bytes:
    """A BIT STRING moved to the right, as go takes keys and signatures; genuine ones have no unused bits."""
    padding, raw = pull_bits(c, what)
    return (int.from_bytes(raw, "big") >> padding).to_bytes(len(raw), "big") if padding else raw


def pull_object_id(c: Cursor, what: str) -> str:
    content = pull_content(c, OBJECT_ID, what)
    dotted = _dotted(rest(content))
    if not dotted:
        raise WireError(content.pos, f"{what}: malformed object identifier")
    return dotted


@lru_cache(1024)
def _dotted(raw: bytes) -> str:
    """Dotted form; empty when malformed, or with an arc over 31 bits, which go refuses."""
    arcs: list[int] = []
    value, fresh = 0, True
    for byte in raw:
        if (fresh and byte == 0x80) or value >= 1 << 24:
            return ""
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs += [value] if arcs else [min(value // 40, 2), value - 40 * min(value // 40, 2)]
            value = 0
    return ".".join(map(str, arcs)) if fresh else ""


def pull_time(c: Cursor) -> datetime:
    start = c.pos
    tag, content = pull_element(c)
    match = TIME.fullmatch(rest(content).decode("latin-1"))
    digits = {UTC_TIME: 2, GENERALIZED_TIME: 4}.get(tag)
    if not match or len(match[1]) != digits or (match[6] is None and tag != UTC_TIME) or match[7] in ("+0000", "-0000"):
        raise WireError(start, "malformed time")
    year = int(match[1])
    if tag == UTC_TIME:
        year += 2000 if year < 50 else 1900  # RFC 5280 §4.1.2.5.1
    offset = timedelta()
    if match[7] != "Z":
        offset = timedelta(hours=int(match[7][1:3]), minutes=int(match[7][3:])) * (-1 if match[7][0] == "-" else 1)
    try:
        local = datetime(year, *(int(part or 0) for part in match.groups()[1:6]), tzinfo=timezone(offset))  # type: ignore[arg-type, misc] # five ints: month to second
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise WireError(start, "no such time") from None


def bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def text_of(tag: int, raw: bytes) -> tuple[str, bool]:
    """An attribute value as text, and whether go reads it too."""
    if tag == UTF8:
        text = raw.decode("utf-8", "backslashreplace")
        return text, text.encode() == raw
    if tag == BMP:
        units = raw[:-2] if raw.endswith(b"\x00\x00") and len(raw) % 2 == 0 else raw
        text = units.decode("utf-16-be", "backslashreplace")
        plain = all(c < "\ufdd0" or "\ufdef" < c < "\ufffe" for c in text)
        return text, plain and text.encode("utf-16-be") == units
    text = raw.decode("latin-1")
    if tag == PRINTABLE:
        return text, not NOT_PRINTABLE.search(raw)
    if tag == IA5:
        return text, raw.isascii()
    if tag == NUMERIC:
        return text, not raw.strip(b"0123456789 ")
    return text, True

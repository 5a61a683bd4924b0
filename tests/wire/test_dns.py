"""DNS messages: a table of cases delivered in three ways, hostile names, and a hand-made builder for round trips."""

import contextlib
import struct
import timeit
from ipaddress import IPv4Address, IPv6Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.dns import DnsMessage, DnsRecord
from trace_go.model.errors import WireError
from trace_go.wire import dns

POINTER_TO_QUESTION = b"\xc0\x0c"


def packed(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def header(questions: int = 1, answers: int = 0, flags: int = 0x8180, ident: int = 0x1234) -> bytes:
    return struct.pack("!HHHHHH", ident, flags, questions, answers, 0, 0)


def question(name: bytes = packed("proxy.golang.org"), kind: int = 1, class_: int = 1) -> bytes:
    return name + struct.pack("!HH", kind, class_)


def record(rdata: bytes, kind: int = 1, name: bytes = POINTER_TO_QUESTION, class_: int = 1, size: int = -1) -> bytes:
    return name + struct.pack("!HHIH", kind, class_, 60, len(rdata) if size < 0 else size) + rdata


def answered(*records: bytes, flags: int = 0x8180) -> bytes:
    return header(answers=len(records), flags=flags) + question() + b"".join(records)


A = record(bytes([192, 0, 2, 1]))
CASES = {
    "query": (header(flags=0x0100) + question(kind=28), [("proxy.golang.org", 28)], [], 0),
    "address": (answered(A), [("proxy.golang.org", 1)], [(1, "192.0.2.1")], 0),
    "addresses": (
        answered(A, record(IPv6Address("2001:db8::1").packed, 28)),
        [("proxy.golang.org", 1)],
        [(1, "192.0.2.1"), (28, "2001:db8::1")],
        0,
    ),
    "alias with a compressed target": (
        answered(record(b"\3cdn" + b"\xc0\x12", 5), A),
        [("proxy.golang.org", 1)],
        [(5, "cdn.golang.org"), (1, "192.0.2.1")],
        0,
    ),
    "name error": (header(flags=0x8183) + question(), [("proxy.golang.org", 1)], [], 3),
    "root": (header(answers=1) + question(b"\0", 2) + record(b"\1a\0", 2), [(".", 2)], [(2, "a")], 0),
    "https record": (
        answered(record(b"\0\1\0" + bytes.fromhex("00010003026832"), 65), record(b"\0\0" + packed("x.example"), 64)),
        [("proxy.golang.org", 1)],
        [(65, "1 . 00010003026832"), (64, "0 x.example")],
        0,
    ),
    "text as hex": (answered(record(b"\2hi", 16)), [("proxy.golang.org", 1)], [(16, "026869")], 0),
    "other class as hex": (answered(record(b"abcd", class_=3)), [("proxy.golang.org", 1)], [(1, "61626364")], 0),
    "multicast class bits": (
        header(answers=1) + question(class_=0x8001) + record(bytes(4), class_=0x8001),
        [("proxy.golang.org", 1)],
        [(1, "0.0.0.0")],
        0,
    ),
    "no question": (header(0, 1) + record(bytes(4), name=packed("a.local")), [], [(1, "0.0.0.0")], 0),
    "odd name": (header() + question(b"\5a.b\\ \2\0\xff\0"), [("a\\.b\\\\\\032.\\000\\255", 1)], [], 0),
    "case is kept": (header() + question(packed("pRoxY.GOLANG.org")), [("pRoxY.GOLANG.org", 1)], [], 0),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str) -> None:
    data, questions, answers, rcode = CASES[case]
    for trailing in (b"", b"\0", b"additional records"):
        read = dns.message(data + trailing)
        assert read.id == 0x1234
        assert list(read.questions) == questions
        assert [(answer.type, answer.value) for answer in read.answers] == answers
        assert read.rcode == rcode
        assert not read.oddities


def deliver(stream: bytes, size: int) -> list[bytes]:
    """Feeds `size` bytes at a time and takes every message as soon as it is complete."""
    taken = []
    pos = 0
    for end in range(size, len(stream) + size, size):
        while framed := dns.maybe_framed(stream[:end], pos):
            message, pos = framed
            taken.append(message)
    return taken


@pytest.mark.parametrize("case", CASES)
def test_framed_whole_byte_by_byte_and_with_trailing_data(case: str) -> None:
    data = CASES[case][0]
    stream = (struct.pack("!H", len(data)) + data) * 2
    for size in (len(stream), 1, 7):
        for trailing in (b"", b"\0", struct.pack("!H", 600) + bytes(599)):
            assert deliver(stream + trailing, size) == [data, data]


@pytest.mark.parametrize("size", [0, 1, 11])
def test_framed_length_that_holds_no_header(size: int) -> None:
    with pytest.raises(WireError) as error:
        dns.maybe_framed(b"before" + struct.pack("!H", size) + bytes(20), 6)
    assert error.value.offset == 6


def test_header_bits() -> None:
    read = dns.message(header(flags=0b1_0101_1_1_0_0_000_0101, ident=0xFFFE) + question())
    assert (read.id, read.is_response, read.opcode, read.rcode) == (0xFFFE, True, 5, 5)
    assert (read.authoritative, read.truncated) == (True, True)


def test_the_id_is_no_part_of_what_is_remembered() -> None:
    one, other = dns.message(b"\0\1" + answered(A)[2:]), dns.message(b"\xff\2" + answered(A)[2:])
    assert (one.id, other.id) == (1, 0xFF02)
    assert msgspec.structs.replace(other, id=1) == one


@pytest.mark.parametrize("flags", [0x0100, 0x8180])
def test_cut_message_is_refused_before_and_told_after_the_questions(flags: int) -> None:
    data = answered(A, A, flags=flags)
    complete = len(header() + question())
    for size in range(len(data)):
        if size < complete:
            with pytest.raises(WireError):
                dns.message(data[:size])
        else:
            read = dns.message(data[:size])
            assert len(read.answers) == (size - complete) // len(A)
            assert len(read.oddities) == 1
            assert read.oddities[0].startswith(f"2 answers announced, {len(read.answers)} read: ")


@pytest.mark.parametrize(
    ("rdata", "kind", "why"),
    [
        (b"abc", 1, "3 bytes for an IPv4 address"),
        (b"abcde", 28, "5 bytes for an IPv6 address"),
        (b"", 1, "0 bytes for an IPv4 address"),
        (b"\1a\0junk", 5, "4 bytes left over"),
        (b"\5a\0", 5, "label runs past the end"),
        (b"\1a", 5, "name runs past the end"),
        (b"\xc0", 2, "pointer runs past the end"),
        (b"\xc0\xff", 12, "pointer does not lead back"),
        (b"\0", 65, "2 bytes"),
        (b"\0\1\x80", 65, "label of unknown kind"),
    ],
)
def test_broken_record_data_is_kept_as_hex_and_the_rest_is_read(rdata: bytes, kind: int, why: str) -> None:
    read = dns.message(answered(record(rdata, kind), A))
    assert [answer.value for answer in read.answers] == [rdata.hex(), "192.0.2.1"]
    assert len(read.oddities) == 1
    assert read.oddities[0].startswith(f"{dns.type_name(kind)} record: {why}")


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # itself
        b"\xc0\x0d",  # forward
        b"\xc0\x00",  # the header
        b"\1a\xc0\x0c",  # its own start
        b"\x40",
        b"\x80",
        b"\xc0",
        b"\x3f" + b"a" * 62,
        b"",
    ],
)
def test_names_that_cannot_be_read(name: bytes) -> None:
    with pytest.raises(WireError):
        dns.message(header() + name)
    with pytest.raises(WireError):
        dns.message(header() + question(name))


def test_name_length_cap() -> None:
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"
    assert len(longest) == dns.MAX_NAME_BYTES
    assert len(dns.message(header() + question(longest)).questions[0][0]) == 253
    with pytest.raises(WireError, match="longer than 255"):
        dns.message(header() + question((b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"b" * 62 + b"\0"))


def test_name_grown_by_pointers_is_capped() -> None:
    grown = b"\x3f" + b"a" * 63
    names = question(grown + b"\0")
    data = header(5) + names
    for _ in range(4):
        start = len(data)
        data += question(grown + struct.pack("!H", 0xC000 | (start - len(names))))
        names = data[start:]
    with pytest.raises(WireError, match="longer than 255"):
        dns.message(data)


def test_three_thousand_pointers_are_refused_at_once() -> None:
    chain = header(answers=1) + question(b"\0", 1)
    chain += b"\0" + struct.pack("!HHIH", 16, 1, 0, 6000)
    first = len(chain)
    targets = [12, *range(first, first + 5998, 2)]
    chain += b"".join(struct.pack("!H", 0xC000 | target) for target in targets)
    hostile = chain + record(b"", name=struct.pack("!H", 0xC000 | (len(chain) - 2)))
    hostile = hostile[:6] + struct.pack("!H", 2) + hostile[8:]
    read = dns.message(hostile)
    assert len(read.answers) == 1
    assert "too many pointers" in read.oddities[0]
    assert min(timeit.repeat(lambda: dns.message(hostile), number=1, repeat=5)) < 0.001


@pytest.mark.parametrize(("hops", "fine"), [(dns.MAX_POINTER_HOPS, True), (dns.MAX_POINTER_HOPS + 1, False)])
def test_pointer_cap(hops: int, fine: bool) -> None:
    data = header(answers=2) + question(b"\1a\0")
    targets = [12, *range(len(data) + 11, len(data) + 11 + 2 * (hops - 2), 2)]
    data += record(b"".join(struct.pack("!H", 0xC000 | target) for target in targets), 16, name=b"\0")
    read = dns.message(data + record(bytes(4), name=struct.pack("!H", 0xC000 | (len(data) - 2))))
    assert [answer.name for answer in read.answers] == [".", "a"][: 1 + fine]


def test_announced_counts_lie() -> None:
    many = header(0xFFFF) + question(b"\0") * 0xFFFF
    assert len(dns.message(many).questions) == dns.MAX_QUESTIONS
    assert dns.message(many).oddities == ("65535 questions announced, 16 read, no answer",)
    crowd = header(answers=0xFFFF) + question() + A * (dns.MAX_ANSWERS + 1)
    assert len(dns.message(crowd).answers) == dns.MAX_ANSWERS
    assert dns.message(crowd).oddities == ("65535 answers announced, 1000 read: more than 1000",)


def test_question_of_another_class_is_told() -> None:
    assert dns.message(header() + question(packed("version.bind"), 16, 3)).oddities == ("question of class 3",)


def test_registry_names() -> None:
    assert [dns.type_name(n) for n in (1, 28, 65, 4711)] == ["A", "AAAA", "HTTPS", "TYPE4711"]
    assert [dns.rcode_name(n) for n in (0, 2, 3, 5, 15)] == ["NOERROR", "SERVFAIL", "NXDOMAIN", "REFUSED", "RCODE15"]


LABELS = st.lists(st.binary(min_size=1, max_size=20), max_size=9)


def presentation(labels: list[bytes]) -> str:
    """RFC 1035 §5.1, written a second time."""

    def shown(byte: int) -> str:
        if byte in b".\\":
            return "\\" + chr(byte)
        return chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"

    return ".".join("".join(map(shown, label)) for label in labels) or "."


def wire_name(labels: list[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@given(
    name=LABELS,
    alias=LABELS,
    addresses=st.lists(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), max_size=5),
    ident=st.integers(0, 0xFFFF),
    ttl_s=st.integers(0, 2**32 - 1),
    kind=st.integers(0, 0xFFFF),
)
def test_what_is_built_is_read(
    name: list[bytes], alias: list[bytes], addresses: list[bytes], ident: int, ttl_s: int, kind: int
) -> None:
    data = (
        struct.pack("!HHHHHH", ident, 0x8400, 1, 1 + len(addresses), 0, 0)
        + wire_name(name)
        + struct.pack("!HH", kind, 1)
    )
    target = len(data) + 12
    data += POINTER_TO_QUESTION + struct.pack("!HHIH", 5, 1, ttl_s, len(wire_name(alias))) + wire_name(alias)
    expected = [DnsRecord(name=presentation(name), type=5, ttl_s=ttl_s, value=presentation(alias))]
    for address in addresses:
        type_, text = (1, IPv4Address(address)) if len(address) == 4 else (28, IPv6Address(address))
        data += struct.pack("!HHHIH", 0xC000 | target, type_, 1, ttl_s, len(address)) + address
        expected.append(DnsRecord(name=presentation(alias), type=type_, ttl_s=ttl_s, value=str(text)))
    assert dns.message(data) == DnsMessage(
        id=ident,
        is_response=True,
        opcode=0,
        rcode=0,
        truncated=False,
        authoritative=True,
        questions=((presentation(name), kind),),
        answers=tuple(expected),
        oddities=(),
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (dns.message, lambda data: dns.message(header(2, 5) + data), lambda data: dns.maybe_framed(data, 0)):
        with contextlib.suppress(WireError):
            read(data)


@given(
    case=st.sampled_from([data for data, *_ in CASES.values()]),
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 200),
)
def test_damaged_messages_are_read_or_refused(case: bytes, edits: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(case)
    for place, byte in edits:
        damaged[place % len(damaged)] = byte
    try:
        read = dns.message(bytes(damaged[: max(cut, 12)]))
    except WireError:
        return
    for name in [name for name, _ in read.questions] + [answer.name for answer in read.answers]:
        assert name
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name


@pytest.mark.parametrize(
    ("flags", "extra", "told"),
    [
        ("0100", "00002904d0000000000000", True),
        ("0120", "00002904d0000000000000", True),
        ("0100", "00002904d0000080000000", False),  # DNSSEC OK, as validating resolvers ask
        ("0100", "00002904d000000000000c000a0008" + "11" * 8, False),  # a cookie, as dig sends it
        ("8180", "00002904d0000000000000", False),
    ],
)
def test_a_query_as_go_makes_it(flags: str, extra: str, told: bool) -> None:
    data = bytes.fromhex(f"abcd{flags}0001000000000001" + "05" + b"proxy".hex() + "00" + "00010001" + extra)
    assert dns.message(data).as_go_asks == told


def test_other_queries_are_not_gos() -> None:
    plain = bytes.fromhex("abcd01000001000000000000" + "05" + b"proxy".hex() + "00" + "00010001")
    assert not dns.message(plain).as_go_asks

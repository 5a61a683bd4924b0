"""The certificate reader: fields against cryptography's own reading, faults, and bytes nobody should have sent."""

import datetime as dt
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from trace_go.wire.certificates import MAX_NAMES, certificate
from trace_go.wire.der import BIT_STRING, INTEGER, MAX_TEXT, OBJECT_ID, OCTET_STRING, SEQUENCE, SET
from trace_go.wire.signatures import public_key, signed_by
from trace_go.wire.x509 import EC, MAX_DER, RSA, read
from trust.authority import (
    CLIENT,
    NAME,
    NOW_NS,
    SERVER,
    Issued,
    intermediate,
    issue,
    key,
    leaf,
    root,
    sct_list,
    with_sha1,
)

GENUINE = [
    leaf(ips=["192.0.2.1", "2001:db8::1"], aia="http://ca.example/e1.cer", sct=True),
    intermediate(),
    root(),
    issue("Root RSA", use="rsa2048", o='Ünïcode, "Ltd" <#>'),
    issue("Root Ed", use="ed25519", ids=False),
    issue(" padded ", o="#hash", dns=["a.example"], usages=[CLIENT, SERVER], unknown_critical=True),
    issue("Server P-384", root(), dns=["*.example"], use="p384 leaf"),
    issue("Server P-521", root("p521"), use="p521 leaf", ca=False, path_length=None),
]  # fmt: skip


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def by_hand(
    *,
    subject: bytes = b"",
    times: tuple[bytes, bytes] = (tlv(0x17, b"260101000000Z"), tlv(0x17, b"270101000000Z")),
    extensions: bytes = b"",
    serial: bytes = b"\x01",
    version: bytes = tlv(0xA0, tlv(INTEGER, b"\x02")),
    spki: bytes | None = None,
) -> bytes:
    """A certificate with hand-made parts; its signature is nonsense."""
    algorithm = tlv(SEQUENCE, tlv(OBJECT_ID, bytes.fromhex("2a8648ce3d040302")))
    public = spki or key("p256 hand").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    tbs = tlv(
        SEQUENCE, version, tlv(INTEGER, serial), algorithm, tlv(SEQUENCE), tlv(SEQUENCE, *times),
        tlv(SEQUENCE, subject), public, tlv(0xA3, tlv(SEQUENCE, extensions)),
    )  # fmt: skip
    return tlv(SEQUENCE, tbs, algorithm, tlv(BIT_STRING, b"\x00\x01\x02"))


def common_name(tag: int, value: bytes) -> bytes:
    return tlv(SET, tlv(SEQUENCE, tlv(OBJECT_ID, b"\x55\x04\x03"), tlv(tag, value)))


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return tlv(
        SEQUENCE, tlv(OBJECT_ID, bytes.fromhex(oid)), b"\x01\x01\xff" if critical else b"", tlv(OCTET_STRING, value)
    )


@pytest.mark.parametrize("issued", GENUINE, ids=lambda i: str(i.certificate.subject.rfc4514_string()))
def test_reads_what_cryptography_reads(issued: Issued) -> None:
    theirs, x, ours = issued.certificate, read(issued.der), certificate(issued.der)
    assert x.problem is None
    assert (ours.subject, ours.issuer) == (theirs.subject.rfc4514_string(), theirs.issuer.rfc4514_string())
    assert (x.not_before, x.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert (x.serial, x.tbs, x.signature) == (theirs.serial_number, theirs.tbs_certificate_bytes, theirs.signature)
    assert x.extensions == {e.oid.dotted_string for e in theirs.extensions}
    assert x.spki == theirs.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ours.sha256 == hashlib.sha256(issued.der).hexdigest()
    assert ours.self_issued == (theirs.subject == theirs.issuer)
    assert signed_by(x, x) == ours.self_issued
    cn = theirs.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert ours.subject_cn == cn[0].value


def test_names_keys_and_marks() -> None:
    ours, x = certificate(GENUINE[0].der), read(GENUINE[0].der)
    assert ours.names == (NAME, "192.0.2.1", "2001:db8::1")
    assert (ours.issuer_cn, ours.issuer_o) == ("Test Intermediate E1", "Test Trust")
    assert (ours.key, ours.signature, ours.has_sct, ours.is_ca) == ("ECDSA P-256", "ecdsa-with-SHA256", True, False)
    assert x.issuer_urls == ("http://ca.example/e1.cer",)
    assert x.authority_key_id == read(intermediate().der).subject_key_id
    assert (read(intermediate().der).ca, read(intermediate().der).max_path) == (True, 0)
    assert certificate(GENUINE[3].der).key == "RSA 2048"
    assert certificate(GENUINE[4].der).key == certificate(GENUINE[4].der).signature.title() == "Ed25519"
    assert read(GENUINE[5].der).unhandled_critical == ("1.3.6.1.4.1.55555.1",)


def test_scts_are_read_and_a_malformed_list_is_none() -> None:
    x = read(GENUINE[0].der)
    assert [(sct.log_id[-1], sct.time_ns) for sct in x.scts] == [(0, NOW_NS), (1, NOW_NS)]
    for value in (sct_list(0), sct_list(1)[:-9], b"\x04\x00", b"\x05\x00", b"\x04\x03\x00\x00\x00"):
        x = read(by_hand(extensions=extension("2b06010401d679020402", value)))
        assert (x.scts, x.problem) == ((), None)
    assert len(read(by_hand(extensions=extension("2b06010401d679020402", sct_list(1)))).scts) == 1


def test_own_key_is_looked_for_only_under_another_issuer() -> None:
    shared = issue("mitmproxy", o="mitmproxy", use="rsa2048 mitm")
    assert certificate(leaf(shared, use="rsa2048 mitm").der).signed_by_own_key
    assert not certificate(leaf(shared).der).signed_by_own_key
    assert not certificate(shared.der).signed_by_own_key  # self-issued: tells nothing
    assert signed_by(read(shared.der), read(shared.der))


def test_pss_and_broken_signatures() -> None:
    anchor = issue("Root RSA", use="rsa2048")
    for child in (leaf(anchor), leaf(anchor, pss=True)):
        assert signed_by(read(child.der), read(anchor.der))
        assert not signed_by(read(child.der[:-1] + bytes((child.der[-1] ^ 1,))), read(anchor.der))
    assert not signed_by(read(leaf(anchor).der), read(root().der))
    assert read(with_sha1(leaf(anchor), anchor.key).der).weak_signature


def test_one_certificate_is_read_once() -> None:
    assert certificate(bytes(bytearray(root().der))) is certificate(root().der)


@pytest.mark.parametrize(
    ("tag", "value", "text", "sound"),
    [
        (0x0C, "Zürich".encode(), "Zürich", True),
        (0x0C, b"\xff\x41", "\\xffA", False),
        (0x13, b"Example *", "Example *", True),
        (0x13, b"a@b", "a@b", False),
        (0x14, b"Z\xfcrich", "Zürich", True),
        (0x16, b"a@b", "a@b", True),
        (0x16, b"\xfc", "ü", False),
        (0x1E, "Zürich".encode("utf-16-be"), "Zürich", True),
        (0x1E, "Zürich\0".encode("utf-16-be"), "Zürich", True),
        (0x1E, b"\xd8\x00\x00A", "\\xd8\\x00A", False),
        (0x12, b"12 3", "12 3", True),
        (0x12, b"12a", "12a", False),
        (0x0C, b"\x1b[31mred\r\n\x00", "\x1b[31mred\r\n\x00", True),
        (0x0C, b"x" * 5000, "x" * (MAX_TEXT - 1) + "…", True),
    ],
)
def test_texts_are_kept_without_loss_and_bounded(tag: int, value: bytes, text: str, sound: bool) -> None:
    ours = certificate(by_hand(subject=common_name(tag, value)))
    assert ours.subject_cn == text
    assert len(ours.subject) <= MAX_TEXT
    assert (ours.problem is None) == sound, ours.problem


def test_attribute_that_is_no_text() -> None:
    assert certificate(by_hand(subject=common_name(0x04, b"\x01\x02"))).subject == "CN=#04020102"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (tlv(0x17, b"491231235959Z"), dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC)),
        (tlv(0x17, b"500101000000Z"), dt.datetime(1950, 1, 1, tzinfo=dt.UTC)),
        (tlv(0x17, b"2601010000Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(0x17, b"260101000000+0100"), dt.datetime(2025, 12, 31, 23, tzinfo=dt.UTC)),
        (tlv(0x18, b"20260101000000Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(0x18, b"99991231235959Z"), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)),
        (tlv(0x18, b"99991231235959-0100"), None),
        (tlv(0x18, b"202601010000Z"), None),
        (tlv(0x18, b"20260101000000.5Z"), None),
        (tlv(0x17, b"260230000000Z"), None),
        (tlv(0x17, b"260101000000+0000"), None),
        (tlv(0x17, "260101000000Z".translate({ord("2"): "２"}).encode()), None),
        (tlv(0x13, b"260101000000Z"), None),
    ],
)
def test_times(raw: bytes, expected: dt.datetime | None) -> None:
    x = read(by_hand(times=(raw, tlv(0x17, b"270101000000Z"))))
    assert x.not_before == expected
    assert (x.problem is None) == (expected is not None)


@pytest.mark.parametrize(
    ("der", "reason"),
    [
        (b"", "0 left"),
        (b"\x30\x82\xff\xff", "announced"),
        (b"\x31\x00", "tag 0x31"),
        (b"\x30\x80\x00\x00", "length of no"),
        (b"\x30\x81\x01\x00", "shortest"),
        (b"\x3f\x00", "tag number"),
        (b"\x30" * (MAX_DER + 1), "longer than go accepts"),
        (root().der + b"\x00", "left over"),
        (root().der[:-1], "announced"),
        (by_hand(serial=b"\xff"), "negative serial"),
        (by_hand(serial=b"\x00\x01"), "shortest"),
        (by_hand(version=tlv(0xA0, tlv(INTEGER, b"\x03"))), "no such version"),
        (by_hand(extensions=extension("551d13", b"\x30\x03\x01\x01\x01")), "no DER boolean"),
        (by_hand(extensions=extension("551d13", b"\x30\x00") * 2), "given twice"),
        (by_hand(extensions=extension("551d0e", b"\x04\x01\x01", critical=True)), "must not be critical"),
        (by_hand(extensions=extension("551d11", tlv(SEQUENCE, tlv(0x87, b"abc")))), "no IP address"),
        (by_hand(extensions=extension("551d11", tlv(SEQUENCE, tlv(0x82, b"\xfc")))), "outside ASCII"),
        (by_hand(extensions=extension("551d1e", tlv(SEQUENCE))), "empty"),
        (by_hand(spki=read(issue("K", use="k256").der).spki), "curve unknown to go"),
    ],
)
def test_faults_become_the_problem(der: bytes, reason: str) -> None:
    ours = certificate(der)
    assert ours.problem
    assert reason in ours.problem
    assert "\n" not in ours.problem


def test_what_precedes_a_fault_is_kept() -> None:
    names = extension("551d11", tlv(SEQUENCE, tlv(0x82, b"a.example"), tlv(0x87, b"")))
    x = read(by_hand(subject=common_name(0x0C, b"kept"), extensions=names))
    assert x.problem
    assert (x.subject.cn, x.dns, x.key_oid) == ("kept", ("a.example",), EC)


def test_many_names_are_capped_for_reports_but_not_for_matching() -> None:
    many = b"".join(tlv(0x82, b"%d.example" % i) for i in range(MAX_NAMES + 5))
    der = by_hand(extensions=extension("551d11", tlv(SEQUENCE, many)))
    assert len(certificate(der).names) == MAX_NAMES
    assert len(read(der).dns) == MAX_NAMES + 5
    long = by_hand(extensions=extension("551d11", tlv(SEQUENCE, tlv(0x82, b"x" * 9000))))
    assert len(certificate(long).names[0]) == MAX_TEXT


def test_huge_rsa_keys_are_not_computed_with() -> None:
    for bits, usable in ((8192, True), (8200, False)):
        numbers = tlv(SEQUENCE, tlv(INTEGER, b"\0" + b"\xff" * (bits // 8)), tlv(INTEGER, b"\1\0\1"))
        algorithm = tlv(SEQUENCE, tlv(OBJECT_ID, bytes.fromhex("2a864886f70d010101")), b"\x05\x00")
        x = read(by_hand(spki=tlv(SEQUENCE, algorithm, tlv(BIT_STRING, b"\0" + numbers))))
        assert (x.key_oid, x.rsa_bits) == (RSA, bits)
        assert (public_key(x) is not None) == usable


def check_is_sane(der: bytes) -> None:
    ours = certificate(der)
    texts = (ours.subject, ours.issuer, ours.serial, ours.key, *ours.names, ours.problem or "")
    assert all(len(text) <= MAX_TEXT for text in texts)
    "".join(texts).encode()  # no lone surrogates
    assert ours.problem or ours.not_before


@given(st.binary(max_size=200))
def test_any_bytes(der: bytes) -> None:
    check_is_sane(der)
    check_is_sane(tlv(SEQUENCE, der))


@given(st.sampled_from(GENUINE), st.data())
def test_mutated_certificates(issued: Issued, data: st.DataObject) -> None:
    mutated = bytearray(issued.der)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(mutated)))
    check_is_sane(bytes(mutated))
    check_is_sane(bytes(mutated[:start]) + bytes(mutated[start + data.draw(st.integers(0, 3)) :]))


TAGS = st.sampled_from(bytes.fromhex("0102030405060c303182868780a0a1a3"))
READ = ["551d0e", "551d0f", "551d11", "551d13", "551d1e", "551d1f", "551d20", "551d23", "551d25", "2b06010505070101"]


@given(st.lists(st.tuples(TAGS, st.binary(max_size=20)), max_size=6), st.sampled_from(READ))
def test_any_extension_value(parts: list[tuple[int, bytes]], oid: str) -> None:
    check_is_sane(by_hand(extensions=extension(oid, tlv(SEQUENCE, *(tlv(tag, value) for tag, value in parts)))))


def test_the_hardest_sizes_take_no_time() -> None:
    """As many tiny elements as fit: the reader stays linear."""
    deep = tlv(SEQUENCE, *[tlv(0x82, b"")] * 100_000)
    started = dt.datetime.now(dt.UTC)
    check_is_sane(by_hand(extensions=extension("551d11", deep)))
    check_is_sane(by_hand(subject=common_name(0x0C, b"") * 15_000))
    check_is_sane(by_hand(extensions=extension("550403", b"") * 15_000))
    assert dt.datetime.now(dt.UTC) - started < dt.timedelta(seconds=10)

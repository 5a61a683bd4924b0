"""Writes whole conversations as templates: their pcap records, and the places where a copy must differ.

TLS handshakes, certificate chains and closings are recorded from OpenSSL, client and server joined in memory; the bulk
data after the first answer is random bytes in TLS records. Packets are those of a client's interface: segments of full
size with timestamps (1,514 bytes on the wire), an acknowledgement for every second one. TCP checksums are 0.
"""

import contextlib
import datetime
import functools
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from numpy.typing import NDArray

NAMES = [
    *("proxy.golang.org", "sum.golang.org", "storage.googleapis.com", "goproxy.cn", "goproxy.io", "mirrors.aliyun.com"),
    *("github.com", "codeload.github.com", "gitlab.com", "bitbucket.org", "gopkg.in", "golang.org", "go.uber.org"),
    *(f"mirror-{n:02}.example.net" for n in range(19)),
]
START = datetime.datetime(2026, 2, 1, 10, tzinfo=datetime.UTC)  # of the capture
SEGMENT_US = 2_000  # between segments of one flow
MTU = 1_500
PROXY, RESOLVER = 128, 53  # last part of their addresses; the names' servers count from 1
SYN, ACK, PSH, FIN = 2, 16, 8, 1
MACS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Flight = tuple[bool, bytes]  # from the client?, bytes
Facts = list[tuple[str, str]]  # kind and value of what a reader must find


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One conversation of p packets. Times, IPv4 ids and checksums, client address and port, TCP numbers are 0."""

    blob: Bytes
    starts: Ints  # (p,) of each record in the blob
    sizes: Ints  # (p,)
    offsets_us: Ints  # (p,) since the conversation's start
    from_client: NDArray[np.bool_]  # (p,)
    numbers: Ints | None  # (p, 2) relative sequence and acknowledgement numbers; None for UDP
    ipv6: bool
    fresh: list[list[Ints]]  # runs of places in the blob; those of one group get the same new random bytes
    facts: Facts


@dataclass(slots=True, kw_only=True)
class Conversation:
    """Packets as they pass; sides are True for the client."""

    server: int  # last part of the address
    port: int
    udp: bool = False
    ipv6: bool = False
    rtt_us: int = 20_000
    now_us: int = 0
    speaker: bool = True
    next: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    acked: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    packets: list[tuple[bool, int, int, int, int]] = field(default_factory=list)  # side, seq, ack, time, payload size
    records: list[bytes] = field(default_factory=list)

    def packet(self, side: bool, flags: int, payload: bytes = b"") -> None:
        """One pcap record."""
        transport = struct.pack("!HH", *((0, self.port) if side else (self.port, 0)))
        if self.udp:
            transport += struct.pack("!HH", 8 + len(payload), 0)
        else:
            options = b"\x01\x01\x08\x0a" + struct.pack("!II", 1_000_000 + self.now_us // 1_000, 0)  # timestamps
            if flags & SYN:  # and segment size, selective acknowledgements, window scale
                size = struct.pack("!BBH", 2, 4, MTU - (60 if self.ipv6 else 40))
                options = size + b"\x04\x02" + options[2:] + b"\x01\x03\x03\x07"
            transport += struct.pack("!8xBBHHH", (20 + len(options)) // 4 << 4, flags, 502, 0, 0) + options
        length, protocol, ttl = len(transport) + len(payload), 17 if self.udp else 6, 64 if side else 57
        if self.ipv6:
            link, network = b"\x86\xdd", struct.pack("!IHBB", 6 << 28, length, protocol, ttl)
            near, far = (bytes.fromhex("20010db8") + bytes(11) + bytes([last]) for last in (0, self.server))
        else:
            link, network = b"\x08\0", struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, ttl, protocol, 0)
            near, far = bytes([10, 1, 0, 0]), bytes([198, 51, 100, self.server])
        network += near + far if side else far + near
        frame = b"".join(MACS[:: -1 if side else 1]) + link + network + transport + payload
        self.records.append(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
        self.packets.append((side, self.next[side], self.next[not side], self.now_us, len(payload)))
        self.next[side] += len(payload) + bool(flags & (SYN | FIN))
        self.acked[side] = self.next[not side]

    def say(self, side: bool, data: bytes, flags: int = ACK) -> None:
        """Data in segments of full size; the receiver acknowledges every second one."""
        if side != self.speaker:
            self.now_us += 300 if side else self.rtt_us
            self.speaker = side
        size = MTU - (72 if self.ipv6 else 52)
        for start in range(0, max(len(data), 1), size):
            last = start + size >= len(data)
            self.packet(side, flags | (PSH if data and last else 0), data[start : start + size])
            if self.next[side] - self.acked[not side] >= 2 * size:
                self.packet(not side, ACK)
            self.now_us += 0 if last else SEGMENT_US

    def open(self) -> None:
        """The three-way handshake."""
        for side, flags in ((True, SYN), (False, SYN | ACK), (True, ACK)):
            self.say(side, b"", flags)

    def close(self) -> None:
        """Both FINs and the last acknowledgement."""
        for side, flags in ((True, FIN | ACK), (False, FIN | ACK), (True, ACK)):
            self.say(side, b"", flags)

    def template(self, facts: Facts, fresh: list[list[tuple[bool, int, int]]]) -> Template:
        """`fresh` groups ranges (side, start, length) of the streams' bytes."""
        sizes = np.array(list(map(len, self.records)), np.int64)
        side, seq, ack, now, length = np.array(self.packets, np.int64).T
        ends = np.cumsum(sizes)

        def places(of: int, start: int, count: int) -> Ints:
            spans = [np.arange(end - size, end) for end, size in zip(ends[side == of], length[side == of], strict=True)]
            return np.concatenate(spans)[start : start + count].copy()

        return Template(
            blob=np.frombuffer(b"".join(self.records), np.uint8),
            starts=ends - sizes,
            sizes=sizes,
            offsets_us=now,
            from_client=side.astype(bool),
            numbers=None if self.udp else np.stack([seq, ack], axis=1),
            ipv6=self.ipv6,
            fresh=[[places(*span) for span in group] for group in fresh],
            facts=facts,
        )


class Authority:
    """An intermediate under an absent root, and TLS servers with one leaf per name; every fourth leaf is RSA."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elliptic, self.rsa = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
        self.key, root = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
        self.intermediate = self.certificate("Bench Intermediate", self.key, "Bench Root", root)
        self.leaf = functools.cache(self.make_leaf)

    def certificate(self, name: str, key: Any, issuer: str, issuer_key: Any, host: bool = False) -> x509.Certificate:
        """Valid for 90 days from the day before the capture."""
        begin = START - datetime.timedelta(days=1)
        subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer))
        builder = x509.CertificateBuilder(by, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=90))
        extensions = [
            x509.BasicConstraints(ca=not host, path_length=None),
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            *([x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"*.{name}")])] if host else []),
        ]
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer_key, SHA256())

    def make_leaf(self, name: str) -> tuple[Path, list[str]]:
        """Key and chain as a PEM file, and the SHA-256 of the certificates in it."""
        key = self.rsa if NAMES.index(name) % 4 == 0 else self.elliptic
        chain = [self.certificate(name, key, "Bench Intermediate", self.key, host=True), self.intermediate]
        pem = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        file = self.folder / f"{name}.pem"
        file.write_bytes(b"".join(pem + [one.public_bytes(Encoding.PEM) for one in chain]))
        return file, [one.fingerprint(SHA256()).hex() for one in chain]


def record_tls(
    pem: Path, name: str, version: ssl.TLSVersion, alpn: str, trusting: bool
) -> tuple[list[Flight], list[Flight]]:
    """The flights of a conversation up to its first answer, and its closing; no answer if the client refuses."""
    contexts = {True: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), False: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}
    contexts[False].load_cert_chain(pem)
    contexts[False].maximum_version = version
    contexts[False].set_alpn_protocols([alpn])
    contexts[True].set_alpn_protocols(["h2", "http/1.1"])
    contexts[True].check_hostname = False
    contexts[True].verify_mode = ssl.CERT_NONE if trusting else ssl.CERT_REQUIRED
    pipes = {side: (ssl.MemoryBIO(), ssl.MemoryBIO()) for side in (True, False)}
    client = contexts[True].wrap_bio(*pipes[True], server_hostname=name)
    server = contexts[False].wrap_bio(*pipes[False], server_side=True)
    flights: list[Flight] = []

    def turn(side: bool, act: Callable[..., object], *args: bytes) -> None:
        with contextlib.suppress(ssl.SSLError):  # "want read" on the way, and the client's refusal
            act(*args)
        if data := pipes[side][1].read():
            flights.append((side, data))
            pipes[not side][0].write(data)

    for _ in range(2):
        turn(True, client.do_handshake)
        turn(False, server.do_handshake)
    if not trusting:
        return flights, []
    turn(True, client.write, f"GET /rsc.io/quote/@v/list HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    turn(False, server.read)
    turn(False, server.write, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nv1.5.2\n")
    turn(True, client.read)
    greeting = len(flights)
    turn(True, client.unwrap)
    return flights[:greeting], flights[greeting:]


def application_data(rng: np.random.Generator, overhead: int, budget: int) -> Iterator[Flight]:
    """Requests, and answers in records of at most 2**14 bytes plus the cipher's overhead, until `budget` is spent."""
    while budget > 0:
        answer = min(budget, int(rng.integers(5_000, 400_000)))
        budget -= answer
        sizes = [min(16_384, answer - at) + overhead for at in range(0, answer, 16_384)]
        yield True, b"\x17\x03\x03\0\x78" + rng.bytes(0x78)
        yield False, b"".join(b"\x17\x03\x03" + struct.pack("!H", size) + rng.bytes(size) for size in sizes)


def ask_tunnel(talk: Conversation, name: str, status: str) -> Facts:
    """A CONNECT and its answer."""
    talk.say(
        True, f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\nUser-Agent: Go-http-client/1.1\r\n\r\n".encode()
    )
    talk.say(False, f"HTTP/1.1 {status}\r\n\r\n".encode())
    return [("connect", f"{name}:443"), ("status", status[:3])]


def tls_template(
    rng: np.random.Generator,
    authority: Authority,
    number: int,
    budget: int,
    tunnel: bool = False,
    trusting: bool = True,
) -> Template:
    """Consecutive numbers go to different names, then to other versions and ALPNs."""
    lap, which = divmod(number, len(NAMES))
    name, new = NAMES[which], (lap + which) % 2 == 0
    (pem, certificates), version = authority.leaf(name), ssl.TLSVersion.TLSv1_3 if new else ssl.TLSVersion.TLSv1_2
    greeting, closing = record_tls(pem, name, version, ("h2", "http/1.1")[lap // 2 % 2], trusting)
    facts = [("sni", name), ("version", "1.3" if new else "1.2")]
    facts += [] if new else [("certificate", one) for one in certificates]  # TLS 1.3 encrypts them
    facts += [] if trusting else [("alert", "48")]  # in clear even in TLS 1.3: OpenSSL refuses before it changes keys
    talk = Conversation(
        server=PROXY if tunnel else which + 1,
        port=3128 if tunnel else 443,
        ipv6=number % 6 == 5 and not tunnel,
        rtt_us=int(rng.integers(5_000, 60_000)),
    )
    talk.open()
    facts += ask_tunnel(talk, name, "200 Connection established") if tunnel else []
    base = {
        side: talk.next[side] - 1 for side in (True, False)
    }  # where TLS starts in the streams; the SYN is not counted
    for flight in greeting:
        talk.say(*flight)
    room = (budget - sum(map(len, talk.records))) / 1.09  # headers and acknowledgements
    for flight in application_data(rng, 17 if new else 24, int(room) if trusting else 0):
        talk.say(*flight)
    for flight in closing:
        talk.say(*flight)
    talk.close()
    # Both hellos: 5 bytes of record header, 4 of message header, 2 of version, random, size of session id, session id.
    hello, answer = (next(data for by, data in greeting if by == side)[43:76] for side in (True, False))
    fresh = [[(side, base[side] + 11, 32)] for side in (True, False)]
    fresh += [[(side, base[side] + 44, 32) for side in (True, False)]] if hello == answer and hello[0] == 32 else []
    return talk.template(facts, fresh)


def refused_tunnel(name: str, status: str) -> Template:
    """A CONNECT that the proxy answers with an error."""
    talk = Conversation(server=PROXY, port=3128)
    talk.open()
    facts = ask_tunnel(talk, name, status)
    talk.close()
    return talk.template(facts, [])


def http_template(rng: np.random.Generator, number: int, budget: int) -> Template:
    """A missing file, a redirect and a zip over one plain connection."""
    name, path = NAMES[number % len(NAMES)], f"/example.net/mod{number}/@v/v1.{number}.0"
    body = rng.bytes(max(100, int((budget - 2_000) / 1.09)))
    location = f"http://{name}/cdn{path}.zip"
    talk = Conversation(server=number % len(NAMES) + 1, port=80, ipv6=number % 6 == 5)
    talk.open()
    for target, head, content in (
        (f"{path}.info", "404 Not Found\r\nContent-Type: text/plain", b"not found\n"),
        (f"{path}.zip", f"302 Found\r\nLocation: {location}", b""),
        (f"/cdn{path}.zip", "200 OK\r\nContent-Type: application/zip", body),
    ):
        talk.say(True, f"GET {target} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: Go-http-client/1.1\r\n\r\n".encode())
        talk.say(False, f"HTTP/1.1 {head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
    talk.close()
    return talk.template([("status", "404"), ("status", "302"), ("status", "200"), ("location", location)], [])


def dns_template(number: int) -> Template:
    """A question and its answer; one name in eight does not exist."""
    missing = number % 8 == 7
    name = NAMES[number] + (".corp.example" if missing else "")
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    record = b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 300, 4, 198, 51, 100, number + 1)
    talk = Conversation(server=RESOLVER, port=53, udp=True, rtt_us=3_000)
    talk.say(True, struct.pack("!6H", 0, 0x0100, 1, 0, 0, 0) + question)
    answer = struct.pack("!6H", 0, 0x8183 if missing else 0x8180, 1, not missing, 0, 0) + question
    talk.say(False, answer if missing else answer + record)
    return talk.template([("dns", name), ("rcode", "3" if missing else "0")], [[(True, 0, 2), (False, 0, 2)]])


def build_templates(rng: np.random.Generator, folder: Path, mean_bytes: float) -> dict[str, list[Template]]:
    """Per kind of flow; sizes vary log-normally around the mean."""
    authority = Authority(folder)
    budgets = np.exp(rng.normal(0, 0.6, 4 * len(NAMES)))
    sizes = (budgets * mean_bytes / budgets.mean()).astype(int).tolist()
    return {
        "tls": [tls_template(rng, authority, number, size) for number, size in enumerate(sizes)]
        + [tls_template(rng, authority, number, 0, trusting=False) for number in range(6)],
        "connect": [tls_template(rng, authority, 5 * number, sizes[number], tunnel=True) for number in range(16)]
        + [refused_tunnel(NAMES[0], "403 Forbidden"), refused_tunnel(NAMES[1], "502 Bad Gateway")],
        "http": [http_template(rng, number, sizes[-1 - number]) for number in range(12)],
        "dns": [dns_template(number) for number in range(len(NAMES))],
    }

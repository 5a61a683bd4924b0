"""What fuzzing starts from: the shipped captures taken apart, and the frames of the tests of layers."""

import gzip
import lzma
import tarfile
import zipfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import lz4.frame

from flows.test_layers import MADE, ONLY_V4, V4, V6
from fuzz.targets import LINKS
from trace_go.capture.files import open_capture
from trace_go.flows.decode import TCP, UDP, State, decode
from trace_go.model.errors import WireError
from trace_go.wire import tls
from trace_go.wire.tls_stream import HandshakeMessage, TlsReader

CAPTURES = Path(__file__).parents[2] / "captures"
FOUND = Path(__file__).parent / "found"
"""inputs that once broke a target, by its name"""
CORPUS = Path(__file__).parent / "corpus.tar.xz"
"""what coverage-guided fuzzing came to, made by `run.py --keep`"""
MOST_BYTES = 20_000
"""of a capture: mutations of longer ones rarely meet a header"""
MESSAGES = {1: "tls-hello", 2: "tls-server-hello", 11: "tls-chain"}


@cache
def seeds() -> dict[str, list[bytes]]:
    """Target → inputs."""
    made: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(CAPTURES.glob("*.pcap*")):
        blob = path.read_bytes()[:MOST_BYTES]
        made["capture"].append(blob)
        made["captures"].append(blob + blob)
        _take_apart(path, made)
    packed = made["capture"][0]
    made["capture"] += [gzip.compress(packed), lzma.compress(packed), bytes(lz4.frame.compress(packed))]
    for make, packets in ((MADE, (V4, V6)), (ONLY_V4, (V4,))):
        for linktype, wrap in make.values():
            if linktype in LINKS:
                body = b"".join(len(frame).to_bytes(2, "big") + frame for frame in map(wrap, packets))
                made["frames"].append(bytes([LINKS.index(linktype)]) + body * 2)
    for path in sorted(CAPTURES.glob("*.zip")):
        made["bundle"].append(path.read_bytes())
        with zipfile.ZipFile(path) as bundle:
            for member, target in (("bundle.json", "facts"), ("go.log", "log"), ("trust.pem", "trust")):
                if member in bundle.namelist():
                    made[target].append(bundle.read(member)[:MOST_BYTES])
    made["site"].append(b'mirrors = ["a.example"]\n[[suppress]]\nkey = "x"\nreason = "y"\n')
    made["go-settings"].append(b"https://a.example|direct\0*.corp\0*\0sum.golang.org+033de0ae https://b\0*:git|hg\0x")
    made["module-url"].append(b"https://proxy.golang.org/golang.org/x/!text/@v/v0.3.0.zip")
    made["key-log"].append(b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n")
    made["socks-client"].append(b"\x10\5\1\0\5\1\0\3\7example\1\xbb")
    made["socks4-server"].append(b"\x10\0\x5a\0\0\0\0\0\0")
    made["socks5-server"].append(b"\x10\5\0\5\0\0\1\0\0\0\0\0\0")
    http2 = b"\x10PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000000003010500000001828684")
    made["http2-client"].append(http2)
    made["http2-server"].append(b"\x10" + bytes.fromhex("00000004000000000000000101040000000188"))
    for name in made:
        made[name] += found(name)
    with tarfile.open(CORPUS) as kept:
        for member in kept:
            if content := kept.extractfile(member):
                made[member.name.partition("/")[0]].append(content.read())
    return made


def found(target: str) -> list[bytes]:
    folder = FOUND / target
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def _take_apart(path: Path, made: dict[str, list[bytes]]) -> None:
    """Its datagrams, and its streams as they came."""
    state, streams = State(), defaultdict[tuple[int, ...], list[bytes]](list)
    with open_capture(str(path)) as reader:
        for batch in reader.batches():
            data, seg = decode(batch, state)
            columns = (seg.protocol, seg.src, seg.sport, seg.dst, seg.dport, seg.payload, seg.captured)
            for protocol, *ends, start, size in zip(*(column.tolist() for column in columns), strict=True):
                body = data[start : start + size].tobytes()
                if protocol == UDP and 53 in (ends[1], ends[3]) and len(made["dns"]) < 40:
                    made["dns"].append(body)
                elif protocol == TCP and body:
                    streams[tuple(ends)].append(body)
                elif protocol not in (TCP, UDP):
                    made["icmp6" if protocol == 58 else "icmp4"].append(body)
    for (src, sport, dst, dport), parts in list(streams.items())[:12]:
        whole, answers = b"".join(parts)[:4000], streams.get((dst, dport, src, sport), [])
        made["conversation"].append(_talk(parts, answers))
        if whole[:1] == b"\x16":
            name = "tls-client" if whole[5:6] == b"\1" else "tls-server"
            made[name].append(b"\x3f" + whole)
            _messages(whole, name == "tls-client", made)
        elif whole[:5] == b"HTTP/":
            made["http1-response"].append(b"\x3f" + whole)
        elif whole[:4] in (b"GET ", b"CONN", b"POST"):
            made["http1-request"].append(b"\x3f" + whole)


def _talk(asked: list[bytes], answers: list[bytes]) -> bytes:
    talk = b""
    for side, parts in ((0, asked[:3]), (1, answers[:6])):
        for part in parts:
            for at in range(0, min(len(part), 1000), 250):
                piece = part[at : at + 250]
                talk += bytes([side, len(piece)]) + piece
    return talk


def _messages(stream: bytes, from_client: bool, made: dict[str, list[bytes]]) -> None:
    reader = TlsReader(from_client)
    reader.receive(stream)
    try:
        while (event := reader.next_event()) is not None:
            if isinstance(event, HandshakeMessage) and event.type in MESSAGES:
                made[MESSAGES[event.type]].append(event.body)
                if event.type == 11:
                    made["x509"] += tls.certificate_chain(event.body)
    except WireError:
        return

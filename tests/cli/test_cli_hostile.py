"""A capture in which every name is an attacker's, and every place for one holds a secret: safe in all outputs."""

import io
import json
import re
import shutil
import warnings
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rich.console import Console

from cli.conftest import Run
from flows.dns_talks import asked, encoded, query, told
from flows.frames import Frame, Talk, engine_of
from report.test_terminal_report import SGR, UNSAFE
from trace_go.capture.writer import Interface, PcapngWriter
from trace_go.cli.live import View
from trace_go.gocmd.config import Config
from wire.tls_samples import alpn, client_hello, message, record, server_hello, server_name, vector

TEXTS = {
    "terminal": b"\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b32m",
    "markup": b"[red]x[/red][link=http://evil.example]y[/link][/]",
    "direction": "\u202egpj.exe\u2066\u200b\u2028\U000e0041".encode(),
    "invalid": b"\xff\xfe\x80\xc3(\xed\xa0\x80",
    "control": b"a\x00b\rc\x08\x7f\x85",
    "long": b"A" * 65_000,
}
SECRET = b"hush-9f8e7d6c5b4a39281706"
AGENT = b"Go-http-client/1.1"
MOST_BYTES = 1_000_000  # of a report about some names of 64 KiB


def frames(text: bytes) -> list[Frame]:
    """Names in DNS, CONNECT, SOCKS, TLS and HTTP; secrets in URLs, headers and logins."""
    label, line = text[:60].replace(b".", b"-"), re.sub(rb"[\r\n]", b"", text)
    short = line[:16_000]
    made = dns(label)
    tunnel = Talk(("10.0.0.2", 40_001), ("192.0.2.80", 3128)).open()
    word = line[:60_000].replace(b" ", b"")
    tunnel.up(
        b"CONNECT %s:443 HTTP/1.1\r\nUser-Agent: %s\r\nProxy-Authorization: Basic %s\r\n\r\n" % (word, AGENT, SECRET)
    )
    tunnel.down(b"HTTP/1.1 200 %s\r\n\r\n" % short)
    handshake(tunnel, short, line[:40_000])
    refused = Talk(("10.0.0.2", 40_002), ("192.0.2.80", 3128)).open()
    refused.up(b"CONNECT me:%s@proxy.golang.org:443 HTTP/1.1\r\nUser-Agent: %s\r\n\r\n" % (SECRET, AGENT))
    refused.down(b"HTTP/1.1 407 %s\r\nContent-Length: 0\r\n\r\n" % short).close()
    clear = Talk(("10.0.0.2", 40_003), ("203.0.113.10", 80)).open()
    for path in (
        b"/%s/@v/list" % short,
        b"/example.com/m/@v/v1.0.0.zip?token=%s&X-Amz-Signature=%s" % (SECRET, SECRET),
    ):
        clear.up(
            b"GET %s HTTP/1.1\r\nHost: me:%s@%s\r\nUser-Agent: %s\r\nAuthorization: Bearer %s\r\nCookie: session=%s\r\n"
            b"Referer: http://a.example/?access_token=%s\r\n\r\n"
            % (path.replace(b" ", b""), SECRET, label.replace(b" ", b""), AGENT, SECRET, SECRET, SECRET)
        )
        clear.down(
            b"HTTP/1.1 302 %s\r\nServer: %s\r\nVia: %s\r\nContent-Type: %s\r\nSet-Cookie: session=%s\r\n"
            b"Location: http://me:%s@%s/x?sig=%s\r\nContent-Length: 0\r\n\r\n"
            % (short, short[:9_000], short[:9_000], short[:9_000], SECRET, SECRET, short[:9_000], SECRET)
        )
    clear.close()
    socks = Talk(("10.0.0.2", 40_004), ("192.0.2.81", 1080)).open()
    socks.up(b"\5\1\2").down(b"\5\2").up(b"\1\2me" + vector(1, SECRET)).down(b"\1\0")
    socks.up(b"\5\1\0\3" + vector(1, label) + b"\1\xbb").down(b"\5\0\0\1\0\0\0\0\0\0")
    handshake(socks, short, line[:40_000])
    for talk in (tunnel, refused, clear, socks):
        made += talk.frames
    return made


def dns(label: bytes) -> list[Frame]:
    """A lookup whose question and answer hold raw bytes, and one of the mirror's."""
    name = vector(1, label) + vector(1, label) + encoded("golang.org")
    head = b"\0\7\x81\x80\0\1\0\1\0\0\0\0"
    answer = b"\xc0\x0c\0\5\0\1\0\0\0\x3c" + vector(2, vector(1, label) + b"\0")
    question = name + b"\0\1\0\1"
    return [
        asked(1, 5001, b"\0\7\1\0\0\1\0\0\0\0\0\0" + question),
        told(2, 5001, head + question + answer),
        asked(3, 5002, query(8, "proxy.golang.org")),
    ]


def handshake(talk: Talk, name: bytes, text: bytes) -> None:
    """TLS 1.2 up to a certificate that the client refuses."""
    hello = client_hello(server_name(name), alpn(name[:255] or b"x"), alpn(b"h2"))
    talk.up(b"".join(record(22, part) for part in pieces(message(1, hello))))
    chain = vector(3, vector(3, certificate(text)))
    flight = message(2, server_hello(alpn(name[:255] or b"x"))) + message(11, chain)
    talk.down(b"".join(record(22, part) for part in pieces(flight)))
    talk.up(record(21, b"\2\x2a")).close()


def pieces(data: bytes) -> list[bytes]:
    return [data[start : start + 16_000] for start in range(0, len(data), 16_000)]


@cache
def certificate(text: bytes) -> bytes:
    """A certificate with these bytes as common name, organisation and DNS name, whatever they are."""
    stand_in, key = "?" * len(text), ec.generate_private_key(ec.SECP256R1())
    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody on the wire keeps to 64 characters
        name = x509.Name([x509.NameAttribute(kind, stand_in, _validate=False) for kind in kinds])
    day = datetime(2023, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day.replace(year=2033))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(stand_in)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER).replace(stand_in.encode(), text)


@pytest.fixture(params=TEXTS)
def capture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "hostile.pcapng"
    with path.open("wb") as file:
        writer = PcapngWriter(file, interfaces=[Interface(name="eth0", link_type=1)])
        for frame in frames(TEXTS[request.param]):
            writer.write(frame.time_ns, frame.data, len(frame.data))
    return path


def safe(text: str) -> str:
    """`text`, which must steer no terminal, hide nothing and betray nothing."""
    assert not UNSAFE.search(text)
    assert SECRET.decode() not in text
    assert len(text) < MOST_BYTES
    return text


def test_the_terminal(here: Run, capture: Path) -> None:
    for words in ([], ["-v"], ["--color", "always"], ["--trust", "certifi", "-v"]):
        done = here("read", *words, capture)
        assert done.code == 1
        assert "Ledger" in safe(SGR.sub("", done.out))
        assert safe(done.err) == ""
        assert "\x1b]" not in done.out


@pytest.mark.parametrize("capture", ["markup"], indirect=True)
def test_it_comes_through(here: Run, capture: Path) -> None:
    """Else nothing above is proven: the names are there, as they came."""
    page = re.sub(r"\s+", "", here("read", "-v", capture).out)
    assert page.count("[red]x[/red][link=http://evil.example]y[/link][/]") > 3
    told = here("read", "--format", "json", capture).out
    for field in ("sni", "subject", "issuer", "names", "authority", "name", "url", "location"):
        assert re.search(rf'"{field}": \[?\s*"[^"]*\[red\]x\[/red\]', told), field


@pytest.mark.parametrize("capture", TEXTS, indirect=True)
def test_nonsense_in_two_encodings_is_no_other_name(here: Run, capture: Path) -> None:
    assert "authority-mismatch" not in here("read", capture).out


def test_json(here: Run, capture: Path) -> None:
    done = here("read", "--format", "json", capture)
    told = json.loads(safe(done.out))
    assert len(told["requests"]) > 2
    assert {"tls", "http", "socks5"} & {flow["tunnel"]["protocol"] for flow in told["flows"] if flow.get("tunnel")}
    assert any(flow["tls"]["certificates"] for flow in told["flows"] if flow.get("tls"))


@pytest.mark.skipif(not shutil.which("tshark"), reason="no tshark")
def test_the_comparison_with_tshark(here: Run, capture: Path) -> None:
    done = here("read", "--compare-tshark", capture)
    safe(done.out)
    safe(done.err)
    assert done.out or done.err


@pytest.mark.parametrize("name", TEXTS)
def test_the_live_view(name: str) -> None:
    out = io.StringIO()
    view = View(Config())
    view._live.console = Console(file=out, force_terminal=True, width=200)
    with view:
        view.show(engine_of(frames(TEXTS[name])), 7)
    drawn = re.sub(r"\x1b\[(?:\?25[lh]|[0-9;]*[mAGKH])", "", out.getvalue()).replace("\r", "")
    assert "ctrl-C for the report" in safe(drawn)
    assert "[red]x[/red]" in drawn or name != "markup"


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "[red]x[/red]", "\udcff", "A" * 65_000])
def test_explain_and_doctor(here: Run, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = here("explain", text)
    assert done.code == 2
    safe(done.out + done.err)
    for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "GOPROXY", "TERM"):
        monkeypatch.setenv(name, text[:1000])
    done = here("doctor")
    safe(done.out + done.err)
    done = here("read", f"{text[:200]}.pcap", "--trust", text[:200])
    assert done.code == 2
    safe(done.out + done.err)

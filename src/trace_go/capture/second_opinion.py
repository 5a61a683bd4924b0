"""What tshark finds in a capture, asked through pyshark: names, fingerprints, certificates, requests.

Slow, and only for those who doubt: nothing of a report comes from here.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from trace_go.model.errors import CaptureError, PrivilegeError
from trace_go.wire.secrets import mask_url

KINDS = ("server names", "JA3", "certificates", "DNS names", "CONNECT", "HTTP requests")
_FILTER = (
    "(dns.qry.name && dns.flags.opcode == 0 && !icmp && !icmpv6) || (tcp && !openvpn && "
    "(tls.handshake.type == 1 || tls.handshake.certificate || http.request || http2.headers.method))"
)
"""questions, and what is said over TCP: not what ICMP errors quote, QUIC hides and OpenVPN frames in its own way"""
_NO_NAME = re.compile(r"<.+>")
"""what stands in place of a name that is none: `<Root>`, `<Name too long>`"""
_OPTIONS = ["-n", "-o", "tcp.reassemble_out_of_order:TRUE"]
_COMPRESSED = "25"
"""type of a message with a compressed chain (RFC 8879), for which go does not ask"""
_END = b"</packet>"
CHUNK_BYTES = 1 << 20

Facts = dict[str, set[str]]
"""kind → what was found: host names in lower case, hex, `METHOD url`"""


def tshark_facts(path: str, key_logs: Sequence[str] = ()) -> Facts:
    """Raises PrivilegeError without tshark, CaptureError when it cannot read the file.

    The keys that a capture carries need not be given.
    """
    from pyshark.tshark.output_parser.tshark_xml import packet_from_xml_packet

    tshark = shutil.which("tshark")
    if tshark is None:
        raise PrivilegeError("--compare-tshark needs tshark: install it (on Debian the package tshark)")
    found: Facts = {kind: set() for kind in KINDS}
    clients: set[tuple[str, str]] = set()
    command = [tshark, "-r", path, "-T", "pdml", "-Y", _FILTER, *_OPTIONS]
    with tempfile.TemporaryFile() as errors, tempfile.NamedTemporaryFile() as keys:
        for name in key_logs:  # it takes one
            with Path(name).open("rb") as log:
                shutil.copyfileobj(log, keys)
            keys.write(b"\n")
        keys.flush()
        command += ["-o", f"tls.keylog_file:{keys.name}"] if key_logs else []
        # Not pyshark's FileCapture: asyncio may lose the exit status of a child that ends while it is closed.
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None
            for packet in map(packet_from_xml_packet, _packets(process.stdout)):
                sender = (packet.tcp.stream, packet.tcp.srcport) if "tcp" in packet else ("", "")
                for layer in packet.layers:
                    _take(layer, sender, clients, found)
        if process.returncode:
            raise CaptureError(f"{path}: tshark cannot read it, or not to its end: {_reason(errors)}")
    return found


def _packets(pdml: IO[bytes]) -> Iterator[bytes]:
    """One XML element `packet` after the other."""
    rest = b""
    while data := pdml.read(CHUNK_BYTES):
        *whole, rest = (rest + data).split(_END)
        for text in whole:
            yield text[text.index(b"<packet>") :] + _END


def _reason(errors: IO[bytes]) -> str:
    """The last line of what it said."""
    errors.seek(0)
    lines = errors.read(CHUNK_BYTES).decode("utf-8", "backslashreplace").strip().splitlines()
    return lines[-1] if lines else "it gave no reason"


def _take(layer: Any, sender: tuple[str, str], clients: set[tuple[str, str]], found: Facts) -> None:
    """sender: TCP stream and port; clients: of whom a ClientHello came: neither their second one, which answers a
    HelloRetryRequest, nor their certificates count"""
    if layer.layer_name == "tls":
        found["server names"] |= set(_values(layer, "handshake_extensions_server_name"))
        if sender in clients:
            return
        if ja3 := set(_values(layer, "handshake_ja3")):
            clients.add(sender)
            found["JA3"] |= ja3
        if _COMPRESSED not in _values(layer, "handshake_type"):
            for der in _values(layer, "handshake_certificate"):
                found["certificates"].add(hashlib.sha256(bytes.fromhex(der.replace(":", ""))).hexdigest())
    elif layer.layer_name == "dns":
        names = {name.lower().rstrip(".") for name in _values(layer, "qry_name") if not _NO_NAME.fullmatch(name)}
        found["DNS names"] |= names - {""}
    elif layer.layer_name == "http2":
        parts = (_values(layer, f"headers_{name}") for name in ("method", "scheme", "authority", "path"))
        for method, scheme, authority, target in zip(*parts, strict=False):
            found["HTTP requests"].add(f"{method} {mask_url(f'{scheme}://{authority}{target}')}")
    elif layer.layer_name == "http":
        for method, target in zip(_values(layer, "request_method"), _values(layer, "request_uri"), strict=False):
            if method == "CONNECT":
                found["CONNECT"].add(target.rpartition("@")[2])
            else:
                whole = next(_values(layer, "request_full_uri"), target)
                found["HTTP requests"].add(f"{method} {mask_url(whole)}")


def _values(layer: Any, name: str) -> Iterator[str]:
    field = layer.get_field(name)
    return iter([str(item.get_default_value()) for item in field.all_fields] if field is not None else [])

"""What tshark finds in a capture, asked through pyshark: names, fingerprints, certificates, requests.

Slow, and only for those who doubt: nothing of a report comes from here.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

from trace_go.model.errors import CaptureError, PrivilegeError
from trace_go.wire.secrets import mask_url

KINDS = ("server names", "JA3", "certificates", "DNS names", "CONNECT", "HTTP requests")
_FILTER = "tls.handshake.type == 1 || tls.handshake.certificate || dns.qry.name || http.request"
_OPTIONS = ["-n", "-o", "tcp.reassemble_out_of_order:TRUE"]

Facts = dict[str, set[str]]
"""kind → what was found: host names in lower case, hex, `METHOD url`"""


def tshark_facts(path: str) -> Facts:
    """Raises PrivilegeError without tshark, CaptureError when it cannot read the file."""
    import pyshark
    from pyshark.capture.capture import TSharkCrashException
    from pyshark.tshark.tshark import TSharkNotFoundException

    found: Facts = {kind: set() for kind in KINDS}
    loop = asyncio.new_event_loop()
    try:
        packets = pyshark.FileCapture(
            path, display_filter=_FILTER, keep_packets=False, custom_parameters=_OPTIONS, eventloop=loop
        )
        with packets:
            for packet in packets:
                for layer in packet.layers:
                    _take(layer, found)
    except TSharkNotFoundException:
        raise PrivilegeError("--compare-tshark needs tshark: install it (on Debian the package tshark)") from None
    except TSharkCrashException:
        raise CaptureError(f"{path}: tshark cannot read it, or not to its end; see `tshark -r {path}`") from None
    finally:
        loop.close()
    return found


def _take(layer: Any, found: Facts) -> None:
    if layer.layer_name == "tls":
        found["server names"] |= set(_values(layer, "handshake_extensions_server_name"))
        found["JA3"] |= set(_values(layer, "handshake_ja3"))
        for der in _values(layer, "handshake_certificate"):
            found["certificates"].add(hashlib.sha256(bytes.fromhex(der.replace(":", ""))).hexdigest())
    elif layer.layer_name == "dns":
        found["DNS names"] |= {name.lower().rstrip(".") for name in _values(layer, "qry_name") if name != "<Root>"}
    elif layer.layer_name == "http":
        for method, target in zip(_values(layer, "request_method"), _values(layer, "request_uri"), strict=False):
            if method == "CONNECT":
                found["CONNECT"].add(target)
            else:
                whole = next(_values(layer, "request_full_uri"), target)
                found["HTTP requests"].add(f"{method} {mask_url(whole)}")


def _values(layer: Any, name: str) -> Iterator[str]:
    field = layer.get_field(name)
    return iter([str(item.get_default_value()) for item in field.all_fields] if field is not None else [])

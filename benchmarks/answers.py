"""Compares what a tool found in a benchmark input with what is in it.

A process of its own: Linux counts the memory of `bench.py` to the processes it starts, so that must stay small.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Facts = Iterator[tuple[str, str]]
TSHARK_FIELDS = [
    *("frame.number", "tcp.stream", "tls.handshake.type", "tls.handshake.extensions_server_name"),
    *("tls.handshake.extensions_alpn_str", "tls.handshake.version", "tls.handshake.extensions.supported_version"),
    *("tls.handshake.certificate", "tls.alert_message.desc", "dns.flags.response", "dns.qry.name", "dns.flags.rcode"),
    *("http.request.method", "http.request.uri", "http.response.code", "http.location"),
]
MUST_FIND = {"sni", "connect", "dns", "certificate", "status", "location"}
TSHARK_FILTER = "tls.handshake or tls.alert_message or dns or http"


def tshark_facts(output: Path) -> Facts:
    """From lines of tab-separated TSHARK_FIELDS."""
    direct = {"alert": "tls.alert_message.desc", "status": "http.response.code", "location": "http.location"}
    direct["sni"] = "tls.handshake.extensions_server_name"
    with output.open() as lines:
        for line in lines:
            row = dict(zip(TSHARK_FIELDS, line.rstrip("\n").split("\t"), strict=True))
            yield from ((kind, row[field]) for kind, field in direct.items() if row[field])
            if row["dns.flags.response"] == "1":
                yield "dns", row["dns.qry.name"]
                yield "rcode", row["dns.flags.rcode"]
            if "2" in row["tls.handshake.type"].split(","):
                yield "version", "1.3" if row["tls.handshake.extensions.supported_version"] == "0x0304" else "1.2"
            for certificate in filter(None, row["tls.handshake.certificate"].split(",")):
                yield "certificate", hashlib.sha256(bytes.fromhex(certificate)).hexdigest()
            if row["http.request.method"] == "CONNECT":
                yield "connect", row["http.request.uri"]


def trace_go_facts(output: Path) -> Facts:
    """From the JSON report."""
    report = json.loads(output.read_bytes())
    yield from (("dns", lookup["name"]) for lookup in report["dns"])
    for flow in report["flows"]:
        if tls := flow.get("tls"):
            yield "sni", tls["sni"]
            yield from (("certificate", one["sha256"]) for one in tls["certificates"])
        if tunnel := flow.get("tunnel"):
            yield "connect", tunnel["authority"]
            yield "status", str(tunnel["status"])
        for exchange in flow.get("http", ()):
            yield "status", str(exchange["status"])
            if exchange["location"]:
                yield "location", exchange["location"]


def compare(found: Facts, expected: dict[str, dict[str, int]]) -> list[str]:
    """One line for each value whose count differs, of the kinds of fact that were found at all."""
    counts = Counter(found)
    kinds = {kind for kind, _ in counts} | MUST_FIND
    wanted = Counter({(kind, value): count for kind in kinds for value, count in expected[kind].items()})
    return [
        f"{kind} {value}: found {counts[kind, value]}, expected {wanted[kind, value]}"
        for kind, value in sorted(counts.keys() | wanted.keys())
        if counts[kind, value] != wanted[kind, value]
    ]


READERS: dict[str, Callable[[Path], Facts]] = {"trace_go": trace_go_facts, "tshark": tshark_facts}


def main(tool: str, output: str, expectation: str) -> int:
    """Print the differences; the exit status is 1 when there is one."""
    expected: dict[str, Any] = json.loads(Path(expectation).read_text())
    lines = compare(READERS[tool](Path(output)), expected["facts"])
    print("\n".join(lines[:20]))
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

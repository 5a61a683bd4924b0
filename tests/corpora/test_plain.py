"""Captures by other projects whose facts another tool found: server names, CONNECT authorities, DNS names.

The corpora are no part of the project: without them, or the folder that TRACE_GO_CORPORA names, the tests are skipped.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from trace_go.model.report import CaptureFile
from trace_go.pipeline import Observed, Source, observe

FOLDER = Path(os.environ.get("TRACE_GO_CORPORA", Path(__file__).parents[2].parent / "shared" / "corpora"))
EXPLAINED = {
    "DNS-OARC__dnscap/src/test/dns.pcap.xz": "xz is not read yet",
    "DNS-OARC__dnscap/src/test/dns.pcap.lz4": "lz4 is not read yet",
    "DNS-OARC__dnscap/src/test/dns.pcap.zst": "zstd is not read yet",
    "DNS-OARC__dnsjit/src/test/dns.pcap.zst": "zstd is not read yet",
    "DNS-OARC__dnscap/src/test/sll2.pcap": "the name is `,` and a backslash, of which tshark shows the comma",
    "ntop__nDPI/tests/cfgs/default/pcap/ookla.pcap": "TLS on port 8080, which tshark takes for HTTP",
    "zeek__zeek/testing/btest/Traces/communityid/icmp6.pcap": "the query stands in an ICMP error that quotes it",
    "zeek__zeek/testing/btest/Traces/dns/dynamic-update.pcap": "an update (opcode 5) asks for no name",
    "zeek__zeek/testing/btest/Traces/dns/dns_notify2.pcap": "a notification (opcode 4) asks for no name",
    "zeek__zeek/testing/btest/Traces/quic/vector-max-size-crash.pcap": "not DNS: a label of no known type",
}
"""files whose expected facts are wrong or out of scope, with the reason"""
ROOT_NAME = "<root>"
"""how the expected answers call the root of the name space"""


def plain() -> list[dict[str, Any]]:
    try:
        lines = (FOLDER / "truth.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [row for row in map(json.loads, lines) if row.get("plain")]


@cache
def read(name: str) -> Observed:
    return observe(Source(captures=(str(FOLDER / "captures" / name),)))


ROWS = plain()
CASES = [pytest.param(row, id=row["file"]) for row in ROWS]
needed = pytest.mark.skipif(not ROWS, reason=f"no corpora at {FOLDER}")


@needed
@pytest.mark.parametrize("row", CASES)
def test_facts_equal_the_expected(row: dict[str, Any]) -> None:
    if row["file"] in EXPLAINED:
        pytest.skip(EXPLAINED[row["file"]])
    seen = read(row["file"])
    file: CaptureFile = seen.files[0]
    assert file.packets == row["packets"]
    hellos = [flow.tls.hello for flow in seen.traffic.flows if flow.tls and flow.tls.hello]
    assert {hello.sni for hello in hellos if hello.sni} == set(row.get("sni", ()))
    tunnels = [flow.tunnel for flow in seen.traffic.flows if flow.tunnel and flow.tunnel.protocol == "http"]
    assert {tunnel.authority for tunnel in tunnels} == set(row.get("connect", ()))
    asked = {"" if name.lower() == ROOT_NAME else name.lower().rstrip(".") for name in row.get("dns_qnames", ())}
    assert {lookup.name.rstrip(".") for lookup in seen.traffic.lookups} == asked

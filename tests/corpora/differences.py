"""What trace-go and the expected answers say of each foreign capture, and why they differ where they do."""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from trace_go.pipeline import Source, observe

FOLDER = Path(os.environ.get("TRACE_GO_CORPORA", Path(__file__).parents[2].parent / "shared" / "corpora"))
ROOT_NAME = "<root>"
"""how the expected answers call the root of the name space"""
NOTE = re.compile("<.+>")
"""what tshark writes in place of a name that is none, as `<name too long>`"""
MOST_S_PER_MB, FREE_MB = 1.0, 1.0
"""10 s for 10 MB; what is smaller has a second"""


class Reason(NamedTuple):
    """Why a difference is none of ours."""

    scope: bool
    """what is expected is not for us to tell; else tshark is wrong or did not look"""
    text: str


def _wrong(text: str) -> Reason:
    return Reason(False, text)


def _scope(text: str) -> Reason:
    return Reason(True, text)


REFUSES = _wrong("tshark refuses the file; its packets are read here")
CLIENTS = _scope("certificates of a client: a chain is the server's")
QUIC = _scope("a certificate inside QUIC, which go does not speak")
QUOTED = _scope("the query stands in an ICMP error that quotes it")
OPENVPN = _scope("TLS inside OpenVPN's own framing")
STARTED = _wrong("TLS that begins amid another protocol: tshark does not look there")
DAMAGED = _wrong("damaged on purpose: of a nonsensical name tshark shows other bytes")
REASONS = {
    "CESNET__ipfixprobe/tests/functional/inputs/ovpn.pcap": STARTED,
    "DNS-OARC__dnscap/src/test/sll2.pcap": _wrong("the name is `,` and a backslash, of which tshark shows the comma"),
    "FoxIO-LLC__ja4/pcap/chrome-cloudflare-quic-with-secrets.pcapng": _scope(
        "compressed certificates (RFC 8879), for which go does not ask"
    ),
    "ntop__nDPI/tests/cfgs/default/pcap/anyconnect-vpn.pcap": CLIENTS,
    "ntop__nDPI/tests/cfgs/default/pcap/anydesk.pcapng": CLIENTS,
    "ntop__nDPI/tests/cfgs/default/pcap/fuzz-2006-06-26-2594.pcap": DAMAGED,
    "ntop__nDPI/tests/cfgs/default/pcap/gnutella.pcap": STARTED,
    "ntop__nDPI/tests/cfgs/default/pcap/ookla.pcap": _wrong("TLS on port 8080, which tshark takes for HTTP"),
    "ntop__nDPI/tests/cfgs/default/pcap/openvpn.pcap": OPENVPN,
    "ntop__nDPI/tests/cfgs/default/pcap/openvpn_nohmac_tcp.pcapng": OPENVPN,
    "ntop__nDPI/tests/cfgs/default/pcap/quic-33.pcapng": QUIC,
    "ntop__nDPI/tests/cfgs/default/pcap/quic-v2.pcapng": QUIC,
    "ntop__nDPI/tests/cfgs/default/pcap/rdp.pcap": STARTED,
    "ntop__nDPI/tests/cfgs/default/pcap/rdp_over_tls.pcap": STARTED,
    "ntop__nDPI/tests/cfgs/default/pcap/tls_client_certificate_with_missing_server_one.pcapng": CLIENTS,
    "the-tcpdump-group__tcpdump/tests/LINKTYPE_IPV6_invalid.pcap": _wrong("IPv4 behind a link type of IPv6"),
    "zeek__zeek/testing/btest/Traces/communityid/icmp6.pcap": QUOTED,
    "zeek__zeek/testing/btest/Traces/dns-inverse-query.pcap": _scope("an inverse query asks for no name"),
    "zeek__zeek/testing/btest/Traces/dns/dynamic-update.pcap": _scope("an update (opcode 5) asks for no name"),
    "zeek__zeek/testing/btest/Traces/dns/dns_notify2.pcap": _scope("a notification (opcode 4) asks for no name"),
    "zeek__zeek/testing/btest/Traces/icmp/icmp-destunreach-udp.pcap": QUOTED,
    "zeek__zeek/testing/btest/Traces/rdp/rdp-no-cookie-mstshash.pcap": STARTED,
    "zeek__zeek/testing/btest/Traces/rdp/rdp-to-ssl.pcap": STARTED,
    "zeek__zeek/testing/btest/Traces/tls/client-certificate.pcap": CLIENTS,
    "zeek__zeek/testing/btest/Traces/tls/irc-starttls.pcap": STARTED,
    "zeek__zeek/testing/btest/Traces/tls/ssl-to-http-server.pcap": _wrong(
        "an HTTP server answers: to tshark it is HTTP"
    ),
    "zeek__zeek/testing/btest/Traces/tls/ssl-v2.pcap": _scope("SSL 2.0, which RFC 6176 forbids"),
    "zeek__zeek/testing/btest/Traces/tls/xmpp-dialback-starttls.pcap": CLIENTS,
}
"""files whose expected facts are wrong or out of scope"""
KINDS = ("packets", "server names", "CONNECT", "DNS names", "certificates")


def rows() -> list[dict[str, Any]]:
    """The expected answers; none without the corpora."""
    try:
        return list(map(json.loads, (FOLDER / "truth.jsonl").read_text().splitlines()))
    except FileNotFoundError:
        return []


def refused(row: dict[str, Any]) -> bool:
    """Whether tshark does not know the file's format."""
    return "doesn't support" in (row.get("tshark") or "")


def reason(row: dict[str, Any]) -> Reason | None:
    """Why a difference of this file is none of ours."""
    if row["file"] in REASONS:
        return REASONS[row["file"]]
    if refused(row):
        return REFUSES
    return DAMAGED if "/Fuzzers/" in row["file"] else None


def differences(row: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """Kind of fact → what only we say, what only the expected answers say."""
    seen = observe(Source(captures=(str(FOLDER / "captures" / row["file"]),)))
    flows = seen.traffic.flows
    named = {"" if name.lower() == ROOT_NAME else name.lower().rstrip(".") for name in row.get("dns_qnames", ())}
    asked = {name for name in named if not NOTE.fullmatch(name)}
    compared = {
        "packets": ({str(seen.files[0].packets)}, {str(row["packets"])}),
        "server names": (
            {flow.tls.hello.sni for flow in flows if flow.tls and flow.tls.hello and flow.tls.hello.sni},
            set(row.get("sni", ())),
        ),
        "CONNECT": (
            {flow.tunnel.authority for flow in flows if flow.tunnel and flow.tunnel.protocol == "http"},
            set(row.get("connect", ())),
        ),
        "DNS names": ({lookup.name.rstrip(".") for lookup in seen.traffic.lookups}, asked),
        "certificates": (
            {one.sha256[:16] for flow in flows if flow.tls for one in flow.tls.chain},
            set(row.get("certs", ())),
        ),
    }
    return {
        kind: (sorted(ours - theirs), sorted(theirs - ours))
        for kind, (ours, theirs) in compared.items()
        if ours != theirs
    }

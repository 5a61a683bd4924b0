"""`trace-go read --compare-tshark FILE…`: where our facts and tshark's differ, instead of a report."""

import argparse
import sys

from trace_go.capture.second_opinion import KINDS, Facts, tshark_facts
from trace_go.model.errors import CaptureError, ConfigError
from trace_go.model.flow import Traffic
from trace_go.pipeline import Source, observe
from trace_go.report.escape import clean

MOST = 20
"""differing facts shown of each kind and file"""


def main(arguments: argparse.Namespace, paths: list[str]) -> int:
    """0 when nothing differs, 1 when something does, 2 when one of the two could not read a file."""
    if "-" in paths:
        raise ConfigError("--compare-tshark reads a capture twice: give it as a file")
    codes = [_compare(path, tuple(arguments.keylog)) for path in paths]
    return max(codes, default=0)


def _compare(path: str, key_logs: tuple[str, ...]) -> int:
    seen = observe(Source(captures=(path,), key_logs=key_logs))
    name, code = clean(path), 0
    if problem := seen.files[0].problem:
        print(f"{name}: trace-go: {clean(problem)}", file=sys.stderr)
        code = 2
    try:
        theirs = tshark_facts(path, key_logs)
    except CaptureError as error:
        print(clean(str(error), 1000), file=sys.stderr)
        return 2
    ours = our_facts(seen.traffic)
    counts = []
    for kind in KINDS:
        counts.append(f"{len(ours[kind] & theirs[kind]):,} {kind}")
        for who, only in (("trace-go", ours[kind] - theirs[kind]), ("tshark", theirs[kind] - ours[kind])):
            code = max(code, int(bool(only)))
            for fact in sorted(only)[:MOST]:
                print(f"{name}: {kind}: only {who}: {clean(fact)}")
            if len(only) > MOST:
                print(f"{name}: {kind}: only {who}: {len(only) - MOST:,} more")
    print(f"{name}: alike: {', '.join(counts)}")
    return code


def our_facts(traffic: Traffic) -> Facts:
    """The same kinds of facts as `tshark_facts`."""
    hellos = [flow.tls.hello for flow in traffic.flows if flow.tls and flow.tls.hello]
    tunnels = [flow.tunnel for flow in traffic.flows if flow.tunnel and flow.tunnel.protocol == "http"]
    return {
        "server names": {hello.sni for hello in hellos if hello.sni},
        "JA3": {hello.ja3 for hello in hellos},
        "certificates": {one.sha256 for flow in traffic.flows if flow.tls for one in flow.tls.chain},
        "DNS names": {name for lookup in traffic.lookups if (name := lookup.name.rstrip("."))},
        "CONNECT": {tunnel.authority for tunnel in tunnels},
        "HTTP requests": {f"{one.method} {_named(one.url)}" for flow in traffic.flows for one in flow.exchanges},
    }


def _named(url: str) -> str:
    """The target alone where the request named no host, as tshark has it."""
    return url.removeprefix("http://") if url.startswith("http:///") else url

"""One stage takes nearly all the time.

What it means
    Everything worked, but one stage of the way took seconds: the name, the connection, TLS, the tunnel through a proxy,
    or the server's answer.

Why it matters
    It tells where to look when a download is slow: a slow resolver, a lossy path and a slow mirror feel alike, and are
    repaired by different people.

How we know
    Times between packets, and go's own time until the headers of an answer, less what the connection took. Reported
    from 1 s (name, connection, TLS, tunnel) or 2 s (answer) on. Where TLS hides requests, the longest pause between
    what must be one by its size and the server's next data; with medium confidence.

False positives
    A mirror that must fetch a module first answers late once. A machine that is busy itself measures its own delays.

What to do
    Ask for the same with the command below, several times. If the first time alone is slow, a cache was cold.

References
    RFC 6298 §2 (a lost SYN costs 1 s); net/dnsclient_unix.go (5 s for each try at a resolver).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import shell, site, target
from trace_go.checks.framework import SLOW_S, Meta, count, finding
from trace_go.checks.proof import flow_of, lookups_of, of_lookup
from trace_go.model import evidence
from trace_go.model.dns import Lookup
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow, Wait
from trace_go.model.ledger import Artifact, Request
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.WARNING, audience=Audience.OPERATOR, cause_rank=86)

LONG_S = 1.0
"""a lost packet at the start of a connection costs as much (RFC 6298 §2); the round trip round the world takes 0.3 s"""
REQUEST_BYTES, ANSWER_BYTES = 56, 100
"""TLS 1.3 adds 22 bytes, a frame of HTTP/2 has 9: two updates of a window or a ping beside one make 52 (RFC 9113 §6),
and a GOAWAY with a few words fewer than 100"""
_HIDDEN = " TLS hides what was asked."
_STAGES = {
    "dns": ("The resolver took {0} for {1}", "dig {}"),
    "connect": ("{1} took {0} to accept a connection", "curl -sS -o /dev/null -w %{{time_connect}} {}"),
    "tunnel": ("The forward proxy took {0} to open a tunnel to {1}", "curl -sS -o /dev/null -w %{{time_connect}} {}"),
    "tls": ("{1} took {0} for the TLS handshake", "curl -sS -o /dev/null -w %{{time_appconnect}} {}"),
    "response": ("{1} took {0} to begin an answer", "curl -sS -o /dev/null -w %{{time_starttransfer}} {}"),
}


def find(case: Case) -> Iterator[Finding]:
    hosts: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        if not request.failure:
            hosts[target(request)].append(request)
    for host, requests in hosts.items():
        for stage in _STAGES:
            limit_s = SLOW_S if stage == "response" else LONG_S
            if all((_at_most(case, item, stage) or 0.0) < limit_s for item in requests):
                continue
            first, lookups = min(item.start_ns for item in requests), lookups_of(case, host)
            all_times = ((item.id, _took(case, item, stage, first, lookups)) for item in requests)
            times = {number: took for number, took in all_times if took is not None}
            slow = [item for item in requests if times.get(item.id, 0.0) >= limit_s]
            if slow:
                yield _finding(case, host, stage, slow, times)


def _at_most(case: Case, request: Request, stage: str) -> float | None:
    """Seconds of a stage; of an answer that TLS hides, the longest pause behind what may have been a request."""
    told: float | None = getattr(request.timings, f"{stage}_s")
    hidden = stage == "response" and request.artifact is Artifact.CONNECTION
    flow = flow_of(case, request) if hidden and told is None else None
    wait = flow.wait if flow else None
    if flow is None or wait is None or wait.request_bytes < REQUEST_BYTES or wait.answer_bytes < ANSWER_BYTES:
        return told
    ready_ns = flow.tls.established_ns if flow.tls else 0
    return wait.waited_ns / 1e9 if 0 < ready_ns <= wait.answer_ns - wait.waited_ns else told


def _finding(case: Case, host: str, stage: str, slow: list[Request], times: dict[int, float]) -> Finding:
    from statistics import median  # needed rarely, and takes 2 ms to import

    worst = max(slow, key=lambda item: times[item.id])
    title, command = _STAGES[stage]
    others = [took for number, took in times.items() if number not in {item.id for item in slow}]
    hidden = stage == "response" and worst.timings.response_s is None
    noun = "connection" if hidden else "request"
    waited = f"{count(len(slow), noun)} {'waited' if stage == 'response' else 'used that connection'}"
    usual = f"; {count(len(others), 'other')} took {median(others) * 1000:.0f} ms" if others else ""
    about = {"dns": host, "response": worst.url or f"{site(case, worst)}/"}.get(stage, f"{site(case, worst)}/")
    flow = flow_of(case, worst)
    return finding(
        case,
        "slow-stage",
        META,
        title=title.format(f"{times[worst.id]:.1f} s", host),
        detail=f"{waited}{usual}.{_HIDDEN if hidden else ''} {_rest(worst, stage)}",
        remedy=Remedy(text="Measure the same stage again, and from elsewhere.", command=shell(command, about)),
        subject=f"{host}:{stage}",
        requests=slow,
        evidence=_proof(case, host, stage, flow),
        signs=_pause(flow.wait, flow.file) if hidden and flow and flow.wait else (),
        confidence=Confidence.MEDIUM if hidden else Confidence.HIGH,
    )


def _took(case: Case, request: Request, stage: str, first: int, lookups: list[Lookup]) -> float | None:
    """Seconds of a stage of a request; of its answer, less the time until the connection stood that it waited for.

    first: when requests to this host began; those of that moment wait for the connection for certain.
    lookups: of the host.
    """
    timings = request.timings
    if stage != "response" or timings.response_s is None:
        return _at_most(case, request, stage)
    flow = flow_of(case, request)
    if flow is None:
        return timings.response_s if request.start_ns != first else None
    asked = [item.start_ns for item in lookups if item.start_ns <= flow.start_ns]
    ready_ns = (flow.tls.established_ns if flow.tls else 0) or flow.syn_ack_ns
    setup_s = (ready_ns - min(asked, default=flow.start_ns)) / 1e9 if ready_ns else 0.0
    return timings.response_s - setup_s if timings.response_s >= setup_s else timings.response_s


def _rest(request: Request, stage: str) -> str:
    """What the other stages of the same request took."""
    timings = request.timings
    known = {"name": timings.dns_s, "connection": timings.connect_s, "tunnel": timings.tunnel_s, "TLS": timings.tls_s}
    own = {"dns": "name", "connect": "connection", "tls": "TLS"}.get(stage, stage)
    rest = [f"{name} {value * 1000:.0f} ms" for name, value in known.items() if value is not None and name != own]
    return f"The other stages: {', '.join(rest)}." if rest else "Other stages are not observable."


def _pause(wait: Wait, file: int) -> list[Evidence]:
    text = f"{wait.request_bytes} bytes of the client, then nothing for {wait.waited_ns / 1e9:.1f} s"
    return [
        evidence.packet(wait.request_packet, text, file),
        evidence.packet(wait.answer_packet, f"{wait.answer_bytes:,} bytes of the server", file),
        evidence.inference("what is longer than HTTP/2's own small messages is taken for a request and its answer"),
    ]


def _proof(case: Case, host: str, stage: str, flow: Flow | None) -> list[Evidence]:
    if stage == "dns":
        return [of_lookup(item) for item in lookups_of(case, host) if (item.latency_s or 0.0) >= LONG_S]
    if flow is None or stage == "response":
        return []
    if stage == "connect":
        text = f"SYN, sent {count(flow.syn_count, 'time')}, answered after {flow.connect_s or 0.0:.1f} s"
        return [evidence.packet(flow.syn_packet, text, flow.file)]
    if stage == "tls" and flow.tls:
        return [
            evidence.packet(flow.tls.hello_packet, f"ClientHello, {flow.tls_s or 0.0:.1f} s before the end", flow.file)
        ]
    return [evidence.packet(flow.tunnel.response_packet, "answer to CONNECT", flow.file)] if flow.tunnel else []

"""What this input lets us see, kind by kind: the report says it, so that silence is never taken for health."""

from collections import Counter
from collections.abc import Sequence

from trace_go.model.chain import Judgement
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow, Traffic
from trace_go.model.go import GoAccount
from trace_go.model.ledger import Artifact, Request, Stage
from trace_go.model.report import CaptureFile, Keying, Seeing
from trace_go.model.tls import Opening
from trace_go.model.words import count, some


def seeing(
    files: Sequence[CaptureFile],
    traffic: Traffic,
    account: GoAccount,
    requests: Sequence[Request],
    judgements: Sequence[Judgement],
    keys: Keying | None = None,
) -> tuple[Seeing, ...]:
    """One entry per kind of fact, in the order a request goes; `Inside TLS` only where keys were given."""
    used = {hop.flow for request in requests for hop in request.hops if hop.flow is not None}
    flows = [flow for flow in traffic.flows if flow.id in used]
    quiet = _quiet(files, account, requests)
    return tuple(
        Seeing(fact=fact, visibility=Visibility.SEEN, why=quiet)
        if quiet
        else Seeing(fact=fact, visibility=visibility, why=why)
        for fact, (visibility, why) in (
            ("Packets", _packets(files)),
            *([("Connections", _left_out(traffic))] if traffic.left_out else []),
            ("Names (DNS)", _names(traffic, flows)),
            ("Certificates", _certificates(flows, requests, judgements)),
            *([("Inside TLS", _inside(flows or traffic.flows, keys))] if keys else []),
            ("Requests", _requests(account, requests)),
            ("Processes", _processes(flows)),
        )
    )


def _quiet(files: Sequence[CaptureFile], account: GoAccount, requests: Sequence[Request]) -> str:
    """What a capture beside a command tells that stayed empty."""
    told = account.argv and files and not any(item.packets or item.drops or item.problem for item in files)
    return "no packet passed while the command ran" if told and not requests else ""


def _packets(files: Sequence[CaptureFile]) -> tuple[Visibility, str]:
    if not files:
        return Visibility.NOT_OBSERVABLE, "no capture was made; statements rest on go's own account and the probe"
    if not any(item.packets for item in files):
        return Visibility.NOT_OBSERVABLE, "the capture holds none"
    if any(item.drops for item in files):
        return Visibility.INFERRED, "the capturing system lost packets, so what is missing may have been there"
    if any(item.truncated_packets for item in files):
        return Visibility.INFERRED, "packets were cut short when capturing (snap length)"
    return Visibility.SEEN, "captured"


def _left_out(traffic: Traffic) -> tuple[Visibility, str]:
    why = f"{traffic.left_out:,} finished or idle ones were left out, the oldest first; --max-flows keeps more"
    return Visibility.INFERRED, why


def _names(traffic: Traffic, flows: Sequence[Flow]) -> tuple[Visibility, str]:
    if traffic.lookups_left_out:
        return Visibility.INFERRED, f"{traffic.lookups_left_out:,} questions and answers beyond a bound were left out"
    hidden = sum(flow.protocol in ("dot", "doh") for flow in traffic.flows)
    if not flows and traffic.lookups:
        return Visibility.SEEN, "queries are captured"
    if not flows:
        why = f"; {hidden:,} connections carry DNS over TLS or HTTPS" if hidden else ""
        return Visibility.NOT_OBSERVABLE, f"no DNS query is captured{why}"
    known = {address for lookup in traffic.lookups for address in lookup.addresses}
    unknown = {flow.server.ip for flow in flows} - known
    if not unknown:
        return Visibility.SEEN, "every address that was used was resolved in the capture"
    return (
        Visibility.NOT_OBSERVABLE,
        f"no DNS answer in the capture gave {some(unknown)}: a literal address, a cache, the hosts file or DoH",
    )


def _certificates(
    flows: Sequence[Flow], requests: Sequence[Request], judgements: Sequence[Judgement]
) -> tuple[Visibility, str]:
    hidden = {flow.name or flow.server.ip for flow in flows if flow.tls and flow.tls.server and not flow.tls.chain}
    why = "TLS 1.3 encrypts them"
    if not flows:
        https = [request for request in requests if (request.url or "").startswith("https://")]
        hidden = {request.target.host for request in https if request.target and request.target.host}
        why = "no handshake was captured"
    if not hidden:
        opened = any(flow.tls and flow.tls.chain and flow.tls.opening is not Opening.NO_KEYS for flow in flows)
        return Visibility.SEEN, "in the handshakes" + (", decrypted where TLS 1.3 hides them" if opened else "")
    left = hidden - {item.name for item in judgements if item.visibility is Visibility.PROBED}
    if not left:
        return Visibility.PROBED, f"{why}; a probe after the command fetched the chain of each host"
    return Visibility.NOT_OBSERVABLE, f"{why}: an interceptor before {some(left)} could not be told from this input"


def _inside(flows: Sequence[Flow], keys: Keying) -> tuple[Visibility, str]:
    """How far the given keys reached."""
    sessions = [flow.tls for flow in flows if flow.tls and flow.tls.server]
    openings = Counter(tls.opening for tls in sessions)
    opened = openings[Opening.OPENED] + openings[Opening.NOTHING]
    left = [f"{number} {_LEFT[kind]}" for kind, number in openings.items() if kind in _LEFT]
    why = f"the keys open {opened} of {len(sessions)} connections" + (f" ({', '.join(left)})" if left else "")
    notes = "".join(f"; {note}" for note in keys.notes)
    if not openings[Opening.OPENED] + openings[Opening.PARTLY]:
        return Visibility.NOT_OBSERVABLE, why + notes
    return Visibility.INFERRED if left else Visibility.SEEN, why + notes


_LEFT = {
    Opening.NO_KEYS: "without keys",
    Opening.PARTLY: "in part",
    Opening.WRONG_KEYS: "with keys that do not fit",
    Opening.UNSUPPORTED: "with a cipher that is not read here; `--compare-tshark` asks tshark",
}


def _requests(account: GoAccount, requests: Sequence[Request]) -> tuple[Visibility, str]:
    if not requests and account.log.lines:
        return Visibility.SEEN, "go's own log has none"
    if not requests:
        return Visibility.NOT_OBSERVABLE, "nothing in this input can be told to be a go command's"
    closed = [request for request in requests if request.artifact is Artifact.CONNECTION]
    if not closed:
        return Visibility.SEEN, "from go's own log" if account.log.fetches else "in clear or decrypted"
    early = sum(request.failure is not None and request.failure.stage in _BEFORE_ASKING for request in closed)
    hides = f"TLS hides what was asked on {count(len(closed) - early, 'connection')}; " if early < len(closed) else ""
    ended = f"{count(early, 'connection')} ended before anything was asked; " if early else ""
    return Visibility.NOT_OBSERVABLE, f"{hides}{ended}`trace-go -- go …` adds go's account"


_BEFORE_ASKING = (Stage.DNS, Stage.CONNECT, Stage.PROXY, Stage.TLS)
"""stages that come before the first request"""


def _processes(flows: Sequence[Flow]) -> tuple[Visibility, str]:
    if not flows:
        return Visibility.NOT_OBSERVABLE, "no connection of a go command was captured"
    missing = sum(flow.process is None for flow in flows)
    if not missing:
        return Visibility.SEEN, "from the system's socket table"
    if missing == len(flows) and not any(flow.tls or flow.tunnel or flow.exchanges for flow in flows):
        return Visibility.NOT_OBSERVABLE, "no connection came so far as to show which program made it"
    if missing == len(flows):
        return Visibility.INFERRED, "the client programs are told by their TLS fingerprint or User-Agent"
    return Visibility.INFERRED, f"{missing} of {len(flows)} connections ended before the socket table was sampled"

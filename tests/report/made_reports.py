"""Reports made by hand, and reports in which every text is an attacker's."""

from typing import Any

from msgspec import Struct, structs

from paths.made import MIRROR, MS, OTHER, START, Log, Net, account, certificate, exchange, ledger
from trace_go.model import evidence
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity, Verdict, VerdictStatus
from trace_go.model.flow import Outcome, Reset
from trace_go.model.report import CaptureFile, Case, Report
from trace_go.model.tls import Alert
from trace_go.paths.visibility import seeing

BASE = "https://proxy.golang.org"
STORED = "https://storage.googleapis.com/proxy-golang-org-prod/abc.zip"


def capture(**changes: Any) -> CaptureFile:
    fields: dict[str, Any] = {
        "name": "a.pcap",
        "format": "pcap",
        "link_types": ("ETHERNET",),
        "packets": 1234,
        "bytes": 567_890,
        "first_ns": START,
        "last_ns": START + 900 * MS,
        "truncated_packets": 0,
        "drops": None,
        "problem": None,
    }
    return CaptureFile(**fields | changes)


def finding(**changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "id": "mirror-status-stops-list",
        "severity": Severity.ERROR,
        "confidence": Confidence.HIGH,
        "audience": Audience.OPERATOR,
        "title": "proxy.golang.org answered 403 Forbidden for 1 request",
        "detail": "example.com/b: 403 Forbidden. 403 before a comma stops: only 404 and 410 go on to the next entry.",
        "evidence": (
            evidence.packet(13, "ClientHello for proxy.golang.org"),
            evidence.log(75, "GET /b → 403 Forbidden"),
        ),
        "remedy": Remedy(
            text="The mirror's policy refuses this module: ask its operator.",
            command=f"curl -i {BASE}/example.com/b/@v/v1.0.0.mod",
        ),
        "subject": "proxy.golang.org:403",
        "requests": (1,),
    }
    return Finding(**fields | changes)


def report(
    net: Net,
    log: Log | None = None,
    *,
    findings: tuple[Finding, ...] = (),
    status: VerdictStatus = VerdictStatus.OK,
    summary: str = "",
    files: tuple[CaptureFile, ...] | None = None,
    suppressed: int = 0,
    goproxy: str = f"{BASE},direct",
    **changes: Any,
) -> Report:
    told = account(log, go_env={"GOPROXY": goproxy}, **changes)
    requests = ledger(net, log, GOPROXY=goproxy)
    files = (capture(),) if files is None else files
    return Report(
        tool_version="1.2.3",
        case=Case(
            files=files,
            flows=net.traffic.flows,
            lookups=net.traffic.lookups,
            judgements=tuple(net.judgements),
            account=told,
            requests=requests,
            seeing=seeing(files, net.traffic, told, requests, net.judgements),
        ),
        findings=findings,
        suppressed=suppressed,
        verdict=Verdict(
            status=status,
            summary=summary or f"{len(requests)} requests answered.",
            causes=tuple(item.key for item in findings),
            fix=tuple(item.remedy for item in findings),
        ),
    )


def empty() -> Report:
    return report(Net(), files=())


def healthy() -> Report:
    """Nine modules over one connection, the zips from the storage host."""
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", MIRROR, latency_s=0.0123)
    net.flow(process="go (92)", chain=(certificate(),))
    net.judge(net.flows[0])
    net.flow(outcome=Outcome.IDLE, process="go (92)")
    net.resolve("storage.googleapis.com", OTHER)
    net.flow("storage.googleapis.com", OTHER, process="go (92)")
    net.judge(None, "storage.googleapis.com")
    log.get(f"{BASE}/sumdb/sum.golang.org/supported", sent=[200])
    for number in range(9):
        log.get(f"{BASE}/example.com/module{number}/@v/v1.{number}.0.mod", sent=[200])
    for number in range(9):
        url = f"{BASE}/example.com/module{number}/@v/v1.{number}.0.zip"
        log.get(url, sent=[302], location=f"{STORED}?{number}")
    return report(net, log)


def failed() -> Report:
    """A 403 that stops the list, a private module through git, a resolver that fails, and a note."""
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow()
    net.flow("git.corp.example", OTHER, client="git (libcurl with GnuTLS)")
    net.resolve("sum.golang.org", rcode="SERVFAIL")
    log.get(f"{BASE}/example.com/a/@v/v1.0.0.mod", sent=[200])
    log.get(f"{BASE}/example.com/b/@v/v1.0.0.mod", 403, sent=[403, 403])
    log.get(f"{BASE}/git.corp.example/lib/@v/v1.0.0.mod", 404, sent=[404, 404])
    log.git("https://git.corp.example/lib.git")
    log.fail(
        "https://sum.golang.org/lookup/example.com/a@v1.0.0",
        "dial tcp: lookup sum.golang.org on 198.51.100.53:53: server misbehaving",
    )
    note = finding(
        id="unexpected-direct",
        severity=Severity.NOTE,
        confidence=Confidence.MEDIUM,
        title="1 module came directly from the origin, not from proxy.golang.org",
        detail="git.corp.example/lib: proxy.golang.org answered 404.",
        evidence=(evidence.env("GOPROXY=https://proxy.golang.org,direct"), evidence.inference("GOPRIVATE is empty")),
        remedy=Remedy(text="Name it in GOPRIVATE."),
        requests=(2,),
    )
    return report(
        net,
        log,
        findings=(finding(), note),
        status=VerdictStatus.FAILED,
        summary="proxy.golang.org answered 403 Forbidden for 1 request (1 more below).",
        suppressed=2,
        exit_code=1,
        notes=("-x is not added: switched off",),
    )


def packets_alone() -> Report:
    """Two files, one cut off; a proxy, an interceptor, clear HTTP, a reset."""
    net = Net()
    net.through_proxy(chain=(certificate(issuer="CN=mitmproxy"),))
    net.intercept(net.flows[0])
    net.through_proxy("sum.golang.org", status=407)
    url = "http://goproxy.corp.example/example.com/a/@v/list"
    net.flow("goproxy.corp.example", port=80, exchanges=[exchange(url)], file=1)
    net.flow(
        "goproxy.cn",
        OTHER,
        outcome=Outcome.RESET,
        reset=Reset(packet=34, time_ns=START, from_client=False, ttl=7),
        file=1,
    )
    net.resolve("goproxy.io", rcode=None, file=1)
    files = (capture(drops=7, truncated_packets=3), capture(name="b.pcap", problem="cut off in packet 99"))
    return report(net, files=files, findings=(finding(),), status=VerdictStatus.SUSPICIOUS, summary="It worked, but …")


def small() -> Report:
    """One of everything that a wire can name."""
    net = Net()
    net.resolve("proxy.golang.org", MIRROR)
    net.through_proxy(chain=(certificate(),), process="go (92)")
    net.intercept(net.flows[0])
    url = "http://goproxy.corp.example/example.com/a/@v/list"
    net.flow("goproxy.corp.example", port=80, exchanges=[exchange(url, location=STORED)], icmp="host unreachable")
    return report(net, findings=(finding(),), files=(capture(problem="cut off"),), notes=("a note",), argv=("go",))


ALL = {"empty": empty, "healthy": healthy, "failed": failed, "packets-alone": packets_alone}


def poisoned(item: Report, text: str) -> Report:
    """The report with `text` in the place of every text."""
    alert = Alert(level=2, description=42, from_client=True, packet=9, time_ns=START)
    flows = tuple(
        structs.replace(flow, tls=structs.replace(flow.tls, alerts=(alert,)) if flow.tls else None)
        for flow in item.case.flows
    )
    changed = structs.replace(item, case=structs.replace(item.case, flows=flows))
    return _poisoned(changed, text)  # type: ignore[no-any-return]  # the type of what is given


def _poisoned(value: Any, text: str) -> Any:
    if type(value) is str:  # enumerations stay
        return text
    if isinstance(value, Struct):
        return structs.replace(
            value, **{name: _poisoned(getattr(value, name), text) for name in value.__struct_fields__}
        )
    if isinstance(value, tuple):
        return tuple(_poisoned(item, text) for item in value)
    if isinstance(value, dict):
        return {_poisoned(key, text): _poisoned(item, text) for key, item in value.items()}
    return value

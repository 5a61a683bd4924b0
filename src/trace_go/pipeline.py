"""The whole flow on one screen: capture → flows → paths → checks → report.

`analyse` depends only on its arguments (and, with `probe`, on the network); its input and result can be pickled.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from msgspec import Struct, field

from trace_go import __version__
from trace_go.capture.beside import Beside, possible
from trace_go.capture.files import open_capture
from trace_go.capture.keys import KeyRing
from trace_go.capture.merge import Merge, Progress
from trace_go.checks.discovery import excuse
from trace_go.checks.discovery import run as run_checks
from trace_go.checks.verdict import verdict
from trace_go.flows.engine import MAX_FLOWS, Engine, SocketKey
from trace_go.flows.shares import ALL, Share, join, pack
from trace_go.gocmd.config import Config
from trace_go.gocmd.environment import settings
from trace_go.gocmd.fingerprints import name_client
from trace_go.gocmd.hosts import load_hosts
from trace_go.model.errors import CaptureError
from trace_go.model.flow import Traffic
from trace_go.model.go import GoAccount
from trace_go.model.probe import ProbeResult, Target
from trace_go.model.report import CaptureFile, Case, Keying, Report
from trace_go.paths.ledger import build
from trace_go.paths.sightings import probed, seen
from trace_go.paths.targets import probe_targets
from trace_go.paths.vantage import crossings, with_crossings
from trace_go.paths.visibility import seeing
from trace_go.trust.behaviour import with_behaviour
from trace_go.trust.judging import judge_all
from trace_go.trust.store import TrustStore

LEAST_SHARED = 64 << 20
"""bytes of a capture that two processes read faster than one: a second one costs 30 ms"""
SAMPLE_BYTES, CROWDED = 8 << 20, 64
"""of its beginning, and packets per flow below which two are faster: each of them decodes every packet"""


class Source(Struct, frozen=True, kw_only=True):
    captures: tuple[str, ...] = ()
    """paths, `-` for standard input"""
    names: tuple[str, ...] = ()
    """how the captures are called in the report; default their paths"""
    key_logs: tuple[str, ...] = ()
    """paths of NSS key logs"""
    beyond: tuple[str, ...] = ()
    """captures of the same run made beyond a gateway"""
    account: GoAccount = field(default_factory=GoAccount)
    owners: Mapping[SocketKey, str] = field(default_factory=dict)
    """(local ip, port, remote ip, port) → `go (1234)`"""
    probes: tuple[ProbeResult, ...] = ()
    """kept in a bundle; analyse does not probe again"""
    max_flows: int = MAX_FLOWS
    """of each vantage kept at once"""


class Options(Struct, frozen=True, kw_only=True):
    store: TrustStore
    config: Config = field(default_factory=Config)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    public_store: TrustStore | None = None
    """roots of public hosts when they are not Mozilla's"""
    probe_environment: Mapping[str, str] | None = None
    """the environment whose proxies a probe uses; None: do not probe"""


class Observed(Struct, frozen=True, kw_only=True):
    files: tuple[CaptureFile, ...]
    traffic: Traffic
    keys: Keying | None = None
    beyond: Traffic = Traffic(flows=(), lookups=())


def analyse(source: Source, options: Options, progress: Progress | None = None) -> Report:
    observed = observe(source, progress)
    return judge(source, observed, options, source.probes or probe(source, observed, options))


def observe(source: Source, progress: Progress | None = None) -> Observed:
    """Read the captures as one; what cannot be read is told in its CaptureFile.problem, and the rest goes on.

    Raises CaptureError for a key log that cannot be read.
    """
    keys = KeyRing(source.key_logs)
    reading = _read(source, keys, progress)
    if keys.late and all(merge.again for merge in reading.merges):  # some packets were read before their keys
        reading = _read(source, keys, progress)
    near, far = reading.merges
    return Observed(files=near.files + far.files, traffic=reading.traffic, beyond=reading.beyond, keys=keys.describe())


class _Reading(NamedTuple):
    traffic: Traffic
    beyond: Traffic
    merges: tuple[Merge, Merge]


def _read(source: Source, keys: KeyRing, progress: Progress | None) -> _Reading:
    """The captures, and those made beyond a gateway."""
    near, far = _merges(source, keys, progress)
    alone = len(source.captures) == 1 and not source.beyond
    if alone and near.bytes_total >= LEAST_SHARED and possible() and _is_crowded(source.captures[0]):
        try:
            with Beside(lambda: _packed(source, near, keys)) as other:
                half = _engine(source, near, keys, Share(0, 2)).finish(source.owners, near.ends_ns, last=True)
                return _Reading(join(half, other.results()), Traffic(flows=(), lookups=()), (near, far))
        except OSError:  # too little memory for two
            near, far = _merges(source, keys, progress)
    traffic = _engine(source, near, keys).finish(source.owners, near.ends_ns, last=True)
    return _Reading(traffic, _engine(source, far, keys).finish(ends_ns=far.ends_ns, last=True), (near, far))


def _is_crowded(path: str) -> bool:
    """Whether few packets make a flow, as a capture begins: the work is then with flows, which two processes share."""
    engine, packets = Engine(name_client), 0
    with suppress(CaptureError), open_capture(path, SAMPLE_BYTES) as reader:
        for batch in islice(reader.batches(), 1):
            engine.add(batch)
            packets = len(batch)
    return engine.flow_count * CROWDED > packets


def _packed(source: Source, merge: Merge, keys: KeyRing) -> Iterator[bytes]:
    """The second half of the flows."""
    engine = _engine(source, merge, keys, Share(1, 2))
    return pack(engine.flows(source.owners, merge.ends_ns, last=True), engine.left_out)


def _merges(source: Source, keys: KeyRing, progress: Progress | None) -> tuple[Merge, Merge]:
    near = Merge(source.captures, source.names, keys, progress)
    return near, Merge(source.beyond, (), keys, progress, first=len(source.captures))


def _engine(source: Source, merge: Merge, keys: KeyRing, share: Share = ALL) -> Engine:
    """All packets have been read when it returns."""
    engine = Engine(name_client, max_flows=source.max_flows, share=share)
    for batch in merge.batches():
        engine.keys = keys.use()
        engine.add(batch)
    return engine


def probe(source: Source, observed: Observed, options: Options) -> tuple[ProbeResult, ...]:
    """Fetch the chains that TLS 1.3 hid, of hosts that the command itself contacted, by the same way."""
    if options.probe_environment is None:
        return ()
    from trace_go.capture.probe import probe_all  # with ssl, which `read` does not need

    wanted = probe_targets(observed.traffic, source.account, options.probe_environment)
    return tuple(probe_all([Target(*target) for target in wanted])) if wanted else ()


def judge(source: Source, observed: Observed, options: Options, probes: Sequence[ProbeResult]) -> Report:
    account, traffic = source.account, observed.traffic
    plan = settings(account.go_env) if account.go_env else None
    hosts = load_hosts(options.config, plan)
    sightings = [*seen(traffic, hosts), *probed(probes, hosts)]
    cas = (*options.config.interception_cas, *(options.config.policy.interception_cas or ()))
    judgements = judge_all(sightings, options.store, cas, options.public_store) if sightings else ()
    found = crossings(traffic, observed.beyond, hosts) if observed.beyond.flows else ()
    judgements = with_behaviour(with_crossings(judgements, found, traffic), traffic.flows)
    requests = build(traffic, account, plan, hosts, judgements)
    case = Case(
        files=observed.files,
        flows=traffic.flows,
        flows_left_out=traffic.left_out,
        lookups=traffic.lookups,
        judgements=judgements,
        account=account,
        requests=requests,
        seeing=seeing(
            observed.files[: len(source.captures)] or observed.files,
            traffic,
            account,
            requests,
            judgements,
            observed.keys,
        ),
        keys=observed.keys,
        crossings=found,
        known=hosts.covering(hop.host for request in requests for hop in request.hops if hop.host),
        policy=options.config.policy,
    )
    findings = run_checks(case)
    wanted = [item for item in findings if selected(item.id, options)]
    shown, excused = excuse(wanted, options.config.suppress)
    return Report(
        tool_version=__version__,
        case=case,
        findings=shown,
        suppressed=len(findings) - len(shown),
        verdict=verdict(case, shown),
        excused=excused,
    )


def selected(check_id: str, options: Options) -> bool:
    return (not options.select or check_id in options.select) and check_id not in options.ignore

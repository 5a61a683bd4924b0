"""The whole flow on one screen: capture → flows → paths → checks → report.

`analyse` depends only on its arguments (and, with `probe`, on the network); its input and result can be pickled.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from msgspec import Struct, field

from trace_go import __version__
from trace_go.capture.beside import possible
from trace_go.capture.keys import KeyRing
from trace_go.capture.merge import Merge, Progress
from trace_go.checks.discovery import excuse
from trace_go.checks.discovery import run as run_checks
from trace_go.checks.verdict import verdict
from trace_go.flows.engine import MAX_FLOWS, Engine, SocketKey
from trace_go.flows.shares import ALL, Share
from trace_go.gocmd.config import Config
from trace_go.gocmd.environment import settings
from trace_go.gocmd.fingerprints import name_client
from trace_go.gocmd.hosts import load_hosts
from trace_go.model.flow import Traffic
from trace_go.model.go import GoAccount
from trace_go.model.probe import ProbeResult, Target
from trace_go.model.report import CaptureFile, Case, Keying, Report
from trace_go.paths.ledger import build
from trace_go.paths.sightings import probed, seen
from trace_go.paths.targets import probe_targets
from trace_go.paths.vantage import crossings, with_crossings
from trace_go.paths.visibility import seeing
from trace_go.together import LEAST_BYTES, read_together
from trace_go.trust.behaviour import with_behaviour
from trace_go.trust.judging import judge_all
from trace_go.trust.store import TrustStore


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
    if keys.late and reading.again:  # some packets were read before their keys
        reading = _read(source, keys, progress)
    return Observed(files=reading.files, traffic=reading.traffic, beyond=reading.beyond, keys=keys.describe())


class _Reading(NamedTuple):
    files: tuple[CaptureFile, ...]
    traffic: Traffic
    beyond: Traffic
    again: bool
    """whether all of it can be read a second time"""


def _read(source: Source, keys: KeyRing, progress: Progress | None) -> _Reading:
    """The captures, and those made beyond a gateway."""
    near = Merge(source.captures, source.names, keys, progress)
    far = Merge(source.beyond, (), keys, progress, first=len(source.captures))
    if len(source.captures) == 1 and not source.beyond and near.bytes_total >= LEAST_BYTES and possible():
        name, make_engine = (source.names or source.captures)[0], partial(_engine, source)
        try:
            traffic, files = read_together(source.captures[0], name, keys, make_engine, source.owners, progress)
            return _Reading(files, traffic, Traffic(flows=(), lookups=()), again=True)
        except OSError:  # too little memory for two
            pass
    traffic = _filled(_engine(source), near, keys).finish(source.owners, near.ends_ns, last=True)
    beyond = _filled(_engine(source), far, keys).finish(ends_ns=far.ends_ns, last=True)
    return _Reading(near.files + far.files, traffic, beyond, near.again and far.again)


def _engine(source: Source, share: Share = ALL) -> Engine:
    return Engine(name_client, max_flows=source.max_flows, share=share)


def _filled(engine: Engine, merge: Merge, keys: KeyRing) -> Engine:
    """All packets have been read when it returns."""
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

"""Which modules are private, and why we think so; who of the public learned of them."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network

from msgspec import Struct

from trace_go.checks.framework import is_below, went_direct
from trace_go.checks.missing import SUMDB
from trace_go.gocmd.environment import match_globs
from trace_go.gocmd.layers import in_effect
from trace_go.gocmd.replay import NOT_FOUND
from trace_go.gocmd.spelling import meant_patterns
from trace_go.model import evidence
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.go import KnownHost
from trace_go.model.ledger import Artifact, Request, Role
from trace_go.model.report import Case
from trace_go.paths import urls

TOOLCHAIN = "golang.org/toolchain"
_VARIABLES = ("GOPRIVATE", "GONOPROXY", "GONOSUMDB")
_PRIVATE_NETWORKS = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""RFC 1918, RFC 4193; documentation and shared ranges are left out"""
_PRIVATE_NAMES = ("corp", "home", "internal", "intranet", "lan", "local", "private")
"""RFC 6762 appendix G"""
_ORIGINS = (Artifact.GO_GET, Artifact.GIT)


class Reason(Struct, frozen=True, kw_only=True):
    """Why a module is taken for private."""

    kind: str
    """`policy`, `GOPRIVATE`, `GONOPROXY`, `GONOSUMDB`, `address`, `database`"""
    text: str
    confidence: Confidence
    evidence: tuple[Evidence, ...] = ()


def private_modules(case: Case) -> dict[str, Reason]:
    """The private ones of the modules that were asked for, each with its strongest reason."""
    modules = {item.module for item in case.requests if item.module and item.artifact is not Artifact.GIT}
    origins, found = went_direct(case), {}
    for module in sorted(modules - {TOOLCHAIN}):
        reason = _named(case, module) or _resolved(case, module) or _unknown_to_database(case, module, origins)
        if reason:
            found[module] = reason
    return found


def _named(case: Case, module: str) -> Reason | None:
    if match_globs(",".join(case.policy.private_modules), module):
        proof = evidence.env(f"private-modules of [policy]: {', '.join(case.policy.private_modules)}")
        return Reason(
            kind="policy", text="called private by the policy", confidence=Confidence.CERTAIN, evidence=(proof,)
        )
    for name in _VARIABLES:
        setting = in_effect(case.account, name)
        named = setting and match_globs(",".join(narrow(setting.value, case.known)), module)
        if setting and named and not is_published(case, module):
            return Reason(
                kind=name,
                text=f"named in {name}",
                confidence=Confidence.MEDIUM if name == "GONOSUMDB" else Confidence.HIGH,
                evidence=(evidence.env(setting.text),),
            )
    return None


def is_published(case: Case, module: str) -> bool:
    """Whether a public mirror has a module."""
    return any(
        item.status == 200 and item.artifact not in SUMDB and learned(case, item)
        for item in case.by_module.get(module, ())
    )


def _resolved(case: Case, module: str) -> Reason | None:
    """Its own server, asked for it, has an address of a private network."""
    for item in case.by_module[module]:
        hop = item.target if item.artifact in _ORIGINS else None
        if hop and hop.ip and _is_private(hop.ip) and not any(h.role is Role.FORWARD_PROXY for h in item.hops):
            text = f"served by {hop.host or hop.ip} from the private address {hop.ip}"
            return Reason(kind="address", text=text, confidence=Confidence.HIGH, evidence=item.evidence[:1])
    return None


def _unknown_to_database(case: Case, module: str, origins: set[str]) -> Reason | None:
    """The checksum database, which fetches what it is asked for, cannot; its own server delivers it here."""
    asked = [item for item in case.by_module[module] if item.artifact is Artifact.SUMDB_LOOKUP]
    if is_below(module, origins) and any(item.status in NOT_FOUND for item in asked):
        text = "delivered by its own server, while the checksum database cannot get it"
        return Reason(kind="database", text=text, confidence=Confidence.HIGH)
    return None


def _is_private(ip: str) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address.version == network.version and address in network for network in _PRIVATE_NETWORKS)


def narrow(patterns: str, known: Mapping[str, KnownHost]) -> list[str]:
    """The entries of a list such as GOPRIVATE that are not `wide`."""
    return [text for text in patterns.split(",") if text and not wide(text, known)]


def wide(pattern: str, known: Mapping[str, KnownHost]) -> bool:
    """Whether a pattern covers what nobody owns alone: `*`, `*.com`, `github.com`, `github.com/*`."""
    host, _, path = pattern.rstrip("/").partition("/")
    shared = host in known and known[host].role == Role.ORIGIN
    name = host.replace("*", "").strip(".")
    everybody = "*" in host and "." not in name and name not in _PRIVATE_NAMES
    return everybody or (shared and path.strip("*/") == "")


def database(request: Request) -> str:
    """The checksum database that a request was for, also where a mirror passes it on."""
    behind = urls.split(request.url or "").path.partition("/sumdb/")[2].partition("/")[0]
    return behind or (request.target.host or request.target.ip or "?" if request.target else "?")


def learned(case: Case, request: Request) -> list[str]:
    """Public parties that an answered request told its module's name: a mirror, a checksum database, or both."""
    hop = request.target
    if request.status is None or not request.module or not hop or not hop.host:
        return []
    names = [hop.host] if hop.role in (Role.MIRROR, Role.CHECKSUM_DB) else []
    if request.artifact is Artifact.SUMDB_LOOKUP:
        names.append(database(request))
    elif request.artifact in SUMDB:
        return []
    return [name for name in dict.fromkeys(names) if _is_public(case, name)]


def _is_public(case: Case, name: str) -> bool:
    """Known to everybody; a name such as `*.jfrog.io` is a customer's own."""
    host = case.known.get(name)
    return host is not None and host.source == "built in" and not host.name.startswith("*.")


def with_patterns(case: Case, name: str, patterns: Iterable[str]) -> str:
    """The value of a list such as GOPRIVATE with more entries; what is mistyped in it is mended."""
    setting = in_effect(case.account, name)
    now = meant_patterns(setting.value).split(",") if setting else []
    return ",".join(dict.fromkeys([*(text for text in now if text not in ("", "none")), *patterns]))


def patterns_for(modules: Iterable[str], known: Mapping[str, KnownHost]) -> list[str]:
    """The narrowest entries that cover modules and their neighbours: the host, or the owner's part of a forge."""
    found: dict[str, None] = {}
    for module in modules:
        parts = module.split("/")
        found["/".join(parts[:2]) if wide(parts[0], known) else parts[0]] = None
    return list(found)

"""Every check on generated cases full of hostile names: nothing is raised, everything is proven, no command bites.

Cases are built from the model's own annotations, so that new fields are covered as they come; only what refers to
something else (flow ids, kinds of failure) is chosen by hand.
"""

import subprocess
import types
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trace_go.checks.discovery import run
from trace_go.checks.verdict import verdict
from trace_go.gocmd.messages import KINDS
from trace_go.model.evidence import Evidence
from trace_go.model.finding import Finding
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request
from trace_go.model.report import Case
from trace_go.paths.failures import STAGES

BAIT = "pwned"
FLOWS = 3
WORDS = (
    "proxy.golang.org", "example.com/a", "example.com/a/b", "203.0.113.9", "2001:db8::9", "localhost",
    f"$(:>{BAIT})", f"`:>{BAIT}`", f"a;:>{BAIT}", f"a|:>{BAIT}", f"a&:>{BAIT};", f"a\n:>{BAIT}\n", f"' :>{BAIT} '",
    f'" :>{BAIT} "', f"-o >{BAIT}", f"a>{BAIT}", "{}", "{0}", "%s", "", "-", ":", "a:b", "a" * 1001,
    "\x1b[31m", "\u202e", "\ud800", "ſ", "GOPRIVATE", "https_proxy",
)  # fmt: skip
NAMES = ("proxy.golang.org", "example.com/a", "example.com/a/b", f"$(:>{BAIT})", f"a';:>{BAIT};'", "-x")
"""few, so that what is said in one place meets what is said in another"""
URLS = ("https://{}/m/@v/v1.0.0.zip", "http://{}/m/@v/list", "HTTPS://{}", "{}", "https://{}:99999/", "http://[{}/")
FAILURES = (*STAGES, "status-403", "status-404", "status-500", "other")
STATUSES = (None, 200, 302, 403, 404, 407, 410, 429, 500)

# A case has thousands of parts: to make one that fails smaller takes minutes. It is told as it was found, with a line
# that repeats it; for a smaller one leave out `phases`.
told_as_found = settings(
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    print_blob=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

text = st.sampled_from(WORDS) | st.text(max_size=20)
name = st.none() | st.sampled_from(NAMES)
url = st.builds(str.format, st.sampled_from(URLS), text)
go_settings = st.dictionaries(
    st.sampled_from(["GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GIT_SSL_NO_VERIFY"]),
    st.sampled_from(["off", "*", "direct", "example.com", "https://proxy.golang.org,direct"]) | text,
    max_size=4,
)
BY_FIELD = {
    "Failure.kind": st.sampled_from(FAILURES),
    "GoError.kind": st.sampled_from(KINDS),
    "Hop.flow": st.none() | st.integers(0, FLOWS - 1),
    "Hop.host": name,
    "Hop.label": st.sampled_from(NAMES),
    "Judgement.name": st.sampled_from(NAMES),
    "Judgement.interceptor": name,
    "Lookup.name": st.sampled_from(NAMES),
    "GoError.module": name,
    "Request.module": name,
    "Request.version": name,
    "Request.url": st.none() | url,
    "Request.redirects": st.lists(url, max_size=2).map(tuple),
    "Request.status": st.sampled_from(STATUSES),
    "GoAccount.process_env": st.dictionaries(text, url, max_size=3) | go_settings,
    "GoAccount.go_env": go_settings,
    "SettingsFile.role": st.sampled_from(["user", "unused", "toolchain"]),
    "SettingsFile.values": go_settings,
    "Policy.minimum_tls": st.sampled_from([None, "1.2", "1.3"]),
    "GoAccount.exit_code": st.sampled_from([None, 0, 1]),
    "Tunnel.authority": st.builds("{}:{}".format, text, text),
}
PLAIN = {
    str: text,
    int: st.integers(0, 70_000),
    bool: st.booleans(),
    float: st.floats(0, 100),
    bytes: st.binary(max_size=4),
    type(None): st.none(),
    datetime: st.just(datetime(2026, 1, 1, tzinfo=UTC)),
}


@cache
def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of the model."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(of_type, arguments))
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(of_type(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(of_type, arguments))
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=2)
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    hints = get_type_hints(kind)
    names = {name: f"{kind.__name__}.{name}" for name in hints}
    return st.builds(kind, **{n: BY_FIELD[names[n]] if names[n] in BY_FIELD else of_type(hints[n]) for n in hints})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    flows = [replace(draw(of_type(Flow)), id=number) for number in range(FLOWS)]
    requests = draw(st.lists(of_type(Request), max_size=4))
    proven = [replace(item, evidence=item.evidence or (draw(of_type(Evidence)),)) for item in requests]
    case: Case = draw(of_type(Case))
    return replace(case, flows=tuple(flows), requests=numbered(proven))


def numbered(requests: list[Request]) -> tuple[Request, ...]:
    return tuple(replace(item, id=number) for number, item in enumerate(requests))


def about(finding: Finding) -> tuple[Any, ...]:
    return finding.key, finding.severity, len(finding.requests)


@settings(told_as_found, max_examples=100)
@given(cases())
def test_findings_are_proven_and_stable(case: Case) -> None:
    findings = run(case)
    for finding in findings:
        assert finding.evidence
        assert finding.title
        assert finding.detail
        assert finding.remedy.text
        assert finding.remedy.command is None or finding.remedy.command.isprintable()
        assert set(finding.requests) <= set(range(len(case.requests)))
    assert len({finding.key for finding in findings}) == len(findings)
    assert verdict(case, findings).summary
    back = replace(case, requests=numbered(list(reversed(case.requests))), judgements=case.judgements[::-1])
    assert set(map(about, run(back))) == set(map(about, findings))


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="no POSIX shell")
def test_no_command_runs_what_the_network_said(tmp_path: Path) -> None:
    """Each command is given to a real shell that finds no program: only what escaped its quotes could make the file."""

    @settings(told_as_found, max_examples=60)
    @given(cases())
    def bite(case: Case) -> None:
        for command in {finding.remedy.command or "" for finding in run(case)}:
            environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
            subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False)
            assert list(tmp_path.iterdir()) == [], command

    bite()

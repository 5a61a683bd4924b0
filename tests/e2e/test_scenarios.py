"""The main job in the lab: real go, real servers, real proxies; live, from the bundle, and from the packets alone."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from e2e.conftest import Traced
from lab import scenario
from trace_go.wire.secrets import mask_url

pytestmark = pytest.mark.lab

MUST_SHOW = ("healthy-mirror", "mirror-404-direct", "mirror-403-comma", "mitm-explicit", "mirror-dead", "connect-proxy")
"""(a) to (f) of the main job"""
MORE = tuple(sorted(set(scenario.names()) - set(MUST_SHOW) - {"healthy-100"}))
ALL = (*MUST_SHOW, *MORE)

NOTHING_SAYS_GO = ("proxy-unreachable",)
"""packets of these show no ClientHello, no request and no known host"""

Run = Callable[..., Traced]


def roles(request: dict[str, Any]) -> list[str]:
    """Roles of the hops that were reached, the broken one included."""
    reached = []
    for hop in request["hops"]:
        reached.append(hop["role"])
        if hop["broken"]:
            break
    return reached


def expected(truth: Sequence[scenario.Expected], url: str) -> scenario.Expected | None:
    return next((item for item in truth if fnmatchcase(url, item.url)), None)


@pytest.mark.parametrize("name", ALL)
def test_live(name: str, traced: Run) -> None:
    truth, run = scenario.load(name).truth, traced(name)
    assert run.exit == truth.exit
    assert truth.says in run.stderr
    assert "# get http" not in run.stderr
    assert "http2: Framer" not in run.stderr
    for request in run.report["requests"]:
        match = expected(truth.requests, request["url"] or "")
        if match:
            assert request["handled_by"] == match.handled_by, request
            assert roles(request) == list(match.hops), request
            assert (request["claims_to_be"] or "") == match.claims_to_be, request
    for item in truth.requests:
        assert any(fnmatchcase(request["url"] or "", item.url) for request in run.report["requests"]), item.url
    verdict = run.report["verdict"]
    assert verdict["status"] == truth.status, verdict
    assert (verdict["causes"][0].split(":")[0] if verdict["causes"] else "") == truth.cause, verdict
    assert sorted({finding["id"] for finding in run.report["findings"]}) == list(truth.findings)


@pytest.mark.parametrize("name", ALL)
def test_every_served_request_is_in_the_ledger(name: str, traced: Run) -> None:
    """The truth about requests is the servers' own log. A redirect's second leg stands in its first leg's row."""
    run = traced(name)
    told = {request["url"].replace("%21", "!") for request in run.report["requests"] if request["url"]}
    told |= {url for request in run.report["requests"] for url in request["redirects"]}
    for served in run.served:
        if served["agent"].startswith(("Go-http-client", "GoCommand")):
            assert mask_url(f"{served['scheme']}://{served['host']}{served['uri']}").replace("%21", "!") in told


@pytest.mark.parametrize("name", ALL)
def test_from_the_bundle(name: str, traced: Run) -> None:
    run = traced(name)
    report, _ = run.bundle()
    assert report["requests"] == run.report["requests"]
    assert report["findings"] == run.report["findings"]
    assert report["verdict"] == run.report["verdict"]


@pytest.mark.parametrize("name", ALL)
def test_from_packets_alone(name: str, traced: Run) -> None:
    """What packets cannot tell is unknown, never wrong."""
    truth, run = scenario.load(name).truth, traced(name)
    report, _ = run.packets_alone()
    assert report["requests"] or name in NOTHING_SAYS_GO
    for request in report["requests"]:
        hosts = [hop["host"] for hop in request["hops"] if hop["host"]]
        url = request["url"] or f"https://{hosts[-1] if hosts else ''}/"
        match = expected(truth.requests, url)
        if match:
            assert request["handled_by"] in (match.handled_by, "unknown", "none"), request
    if truth.status == "ok":
        assert report["verdict"]["status"] == "ok", report["findings"]


def test_healthy_has_no_finding(traced: Run) -> None:
    run = traced("healthy-mirror")
    assert run.report["findings"] == []
    assert {request["handled_by"] for request in run.report["requests"]} == {"mirror"}


def test_403_names_mirror_status_and_rule(traced: Run) -> None:
    finding = traced("mirror-403-comma").report["findings"][0]
    assert "proxy.golang.org" in finding["title"]
    assert "403" in finding["title"]
    assert "comma" in finding["detail"]
    assert "404 and 410" in finding["detail"]


def test_interceptor_is_named(traced: Run) -> None:
    run = traced("mitm-explicit")
    intercepted = [request for request in run.report["requests"] if request["handled_by"] == "mitm"]
    assert intercepted
    assert {request["claims_to_be"] for request in intercepted} <= {"proxy.golang.org", "sum.golang.org"}
    assert "mitmproxy" in run.report["findings"][0]["title"]


def test_connect_proxy_is_a_hop(traced: Run) -> None:
    for request in traced("connect-proxy").report["requests"]:
        assert "forward-proxy" in roles(request)
        assert request["handled_by"] == "mirror"

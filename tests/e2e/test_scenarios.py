"""The main job in the lab: real go, real servers, real proxies; live, from the bundle, and from the packets alone."""

from collections import Counter

import pytest

from e2e.conftest import Run
from lab import board
from lab.board import Result
from trace_go.wire.secrets import mask_url

pytestmark = pytest.mark.lab

MUST_SHOW = ("healthy-mirror", "mirror-404-direct", "mirror-403-comma", "mitm-explicit", "mirror-dead", "connect-proxy")
"""(a) to (f) of the main job"""
CHOSEN = sorted({*MUST_SHOW, *board.representative()})
"""`make score` has them all"""
COMMITTED = board.committed()


@pytest.mark.parametrize("name", CHOSEN)
def test_nobody_notices_the_tracing(name: str, result: Result) -> None:
    assert result.command, result.told


@pytest.mark.parametrize("name", CHOSEN)
def test_every_served_request_is_in_the_ledger(name: str, result: Result) -> None:
    assert not result.scores["live"].absent, result.told


@pytest.mark.parametrize("name", CHOSEN)
def test_bundle_tells_what_the_run_told(name: str, traced: Run) -> None:
    live, bundle = (traced(name).reports[kind] for kind in ("live", "bundle"))
    assert {key: bundle[key] for key in ("requests", "findings", "verdict")} == {
        key: live[key] for key in ("requests", "findings", "verdict")
    }


@pytest.mark.parametrize("name", CHOSEN)
def test_packets_alone_are_never_wrong(name: str, result: Result) -> None:
    assert not result.scores["packets"].wrong, result.told
    assert not result.scores["beyond"].wrong, result.told


@pytest.mark.parametrize("name", CHOSEN)
def test_nothing_is_worse_than_on_the_scoreboard(name: str, result: Result) -> None:
    assert board.worse(result, COMMITTED.get(name)) == [], result.told


@pytest.mark.parametrize("name", CHOSEN)
def test_packets_with_keys_list_what_go_lists(name: str, traced: Run) -> None:
    """Every request that was answered: its URL, status and redirects. (git's are commands in go's account.)"""
    told, shown = (
        Counter(
            (mask_url(row["url"]).replace("%21", "!"), row["status"], *row["redirects"])
            for row in traced(name).reports[kind]["requests"]
            if row["url"] and row["status"] and row["artifact"] != "git"
        )
        for kind in ("live", "keys")
    )
    assert shown == told


@pytest.mark.parametrize("name", MUST_SHOW)
def test_main_job_is_right(name: str, result: Result) -> None:
    assert result.right, result.told


def test_healthy_has_no_finding(traced: Run) -> None:
    report = traced("healthy-mirror").reports["live"]
    assert report["findings"] == []
    assert {request["handled_by"] for request in report["requests"]} == {"mirror"}


def test_403_names_mirror_status_and_rule(traced: Run) -> None:
    finding = traced("mirror-403-comma").reports["live"]["findings"][0]
    assert "proxy.golang.org" in finding["title"]
    assert "403" in finding["title"]
    assert "comma" in finding["detail"]
    assert "404 and 410" in finding["detail"]


def test_interceptor_is_named(traced: Run) -> None:
    report = traced("mitm-explicit").reports["live"]
    intercepted = [request for request in report["requests"] if request["handled_by"] == "mitm"]
    assert intercepted
    assert {request["claims_to_be"] for request in intercepted} <= {"proxy.golang.org", "sum.golang.org"}
    assert "mitmproxy" in report["findings"][0]["title"]


def test_connect_proxy_is_a_hop(traced: Run) -> None:
    for request in traced("connect-proxy").reports["live"]["requests"]:
        assert "forward-proxy" in [hop["role"] for hop in request["hops"]]
        assert request["handled_by"] == "mirror"

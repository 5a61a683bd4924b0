"""A scenario whose truth is changed fails the scoreboard: it does not pass whatever happens."""

import pytest

from e2e.conftest import Run
from lab import board, scenario

pytestmark = pytest.mark.lab

REQUESTS = "truth.requests = [{{url='https://proxy.golang.org/*', handled_by='{}', hops={}, claims_to_be='{}'}}]"
INTERCEPTED = ["resolver", "forward-proxy", "interceptor"]
FLIPS = [
    ("healthy-mirror", REQUESTS.format("direct", ["resolver", "mirror"], ""), "live: wrong"),
    ("healthy-mirror", REQUESTS.format("mirror", ["resolver", "cdn", "mirror"], ""), "bundle: wrong"),
    ("healthy-mirror", "truth.exit = 1", "command"),
    ("healthy-mirror", "truth.findings = ['chain-incomplete']", "live: missed chain-incomplete"),
    ("mirror-403-comma", "truth.cause = 'module-not-found'", "live: cause"),
    ("mirror-403-comma", "truth.findings = []", "live: false mirror-status-stops-list"),
    ("mirror-403-comma", "truth.says = '404 Not Found'", "command"),
    ("mirror-dead", "truth.status = 'suspicious'", "packets: status"),
    ("mirror-dead", "truth.packets.cause = 'connection-refused'", "packets: cause"),
    ("mitm-explicit", REQUESTS.format("mitm", INTERCEPTED, "goproxy.cn"), "live: wrong"),
    ("healthy-tls12", REQUESTS.format("direct", ["resolver", "mirror"], ""), "packets: wrong"),
    ("healthy-tls12", REQUESTS.format("direct", ["resolver", "mirror"], ""), "beyond: wrong"),
    ("connect-proxy", "truth.requests = []", "live: wrong"),
    ("mirror-404-direct", REQUESTS.format("mirror", ["resolver", "mirror"], ""), "live: wrong"),
]


@pytest.mark.parametrize(("name", "change", "flaw"), FLIPS)
def test_changed_truth_fails(name: str, change: str, flaw: str, traced: Run) -> None:
    truth, before = scenario.load(name).truth, board.committed()[name]
    flipped = scenario.load(name, change).truth
    assert board.worse(board.judge(truth, traced(name)), before) == []
    assert flaw in board.worse(board.judge(flipped, traced(name)), before)

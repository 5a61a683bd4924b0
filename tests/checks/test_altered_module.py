"""altered-module: a zip that is not what the checksum database knows, as the packets show it."""

from typing import Any

from checks.conftest import Run, kinds
from trace_go.checks.catalogue.altered_module import find
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.finding import Finding
from trace_go.model.go import GoAccount
from trace_go.model.ledger import Artifact, HandledBy, Hop, Request, RequestTimings, Role
from trace_go.model.report import Case

RIGHT, WRONG = "h1:" + "A" * 43 + "=", "h1:" + "B" * 43 + "="
SUM = ("example.com/a", "v1.0.0", RIGHT)


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "altered-module:proxy.golang.org:example.com/beta@v1.0.1"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "certain")
    assert found.title == "proxy.golang.org delivered altered bytes for example.com/beta@v1.0.1"
    assert "the checksum database says h1:YjU86yOkZf5Ge01aXrx0fbA+N0hTYMJrefasAA6E6vg=" in found.detail
    assert "plain http" in found.detail
    assert "packet" in kinds(found)
    assert fires.whole.verdict.causes[0] == found.key
    (zipped,) = [request for request in fires.whole.requests if request.artifact == "zip"]
    assert found.requests == [zipped.id]


def test_go_says_the_same_hash(fires: Run) -> None:
    (mismatch,) = [item for item in fires.whole.findings if item.id == "checksum-mismatch"]
    (zipped,) = [request for request in fires.whole.requests if request.artifact == "zip"]
    assert f"downloaded: {zipped.h1}" in mismatch.detail


def test_packets_alone_show_it(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title
    assert any(b"200 OK" in frame.payload for frame in fires.frames(fires.in_packets))


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert sum(request.h1 is not None for request in silent.packets.requests) == 2


def test_what_the_storage_delivers_counts(regression: Run) -> None:
    assert regression.found == []
    (zipped,) = [request for request in regression.packets.requests if request.artifact == "zip"]
    assert zipped.h1 == "h1:YjU86yOkZf5Ge01aXrx0fbA+N0hTYMJrefasAA6E6vg="


# -- by hand -----------------------------------------------------------------------------------------------------------


def got(h1: str, host: str = "proxy.golang.org", **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "id": 0,
        "url": f"https://{host}/example.com/a/@v/v1.0.0.zip",
        "module": "example.com/a",
        "version": "v1.0.0",
        "artifact": Artifact.ZIP,
        "attempt": 1,
        "repeats": 0,
        "proxy_entry": None,
        "next_entry": None,
        "status": 200,
        "status_text": "OK",
        "redirects": (),
        "handled_by": HandledBy.MIRROR,
        "claims_to_be": None,
        "hops": (Hop(role=Role.MIRROR, host=host, ip=None, flow=None),),
        "timings": RequestTimings(),
        "bytes_up": None,
        "bytes_down": None,
        "failure": None,
        "visibility": Visibility.SEEN,
        "confidence": Confidence.HIGH,
        "evidence": (),
        "h1": h1,
    }
    return Request(**fields | changes)


def findings(*requests: Request, go_sum: tuple[tuple[str, str, str], ...] = ()) -> list[Finding]:
    case = Case(
        files=(),
        flows=(),
        lookups=(),
        judgements=(),
        account=GoAccount(go_sum=go_sum),
        requests=requests,
        seeing=(),
    )
    return list(find(case))


def test_against_go_sum() -> None:
    assert findings(got(RIGHT), go_sum=(SUM,)) == []
    (found,) = findings(got(WRONG), go_sum=(SUM,))
    assert found.confidence is Confidence.HIGH
    assert f"go.sum says {RIGHT}" in found.detail
    assert findings(got(WRONG, artifact=Artifact.MOD), go_sum=(SUM,)) == []


def test_an_interceptor_is_the_nearest_that_could() -> None:
    hops = (
        Hop(role=Role.INTERCEPTOR, host=None, ip="10.0.0.1", flow=None, label="mitmproxy"),
        Hop(role=Role.MIRROR, host="proxy.golang.org", ip=None, flow=None),
    )
    (found,) = findings(got(WRONG, hops=hops, handled_by=HandledBy.MITM), go_sum=(SUM,))
    assert found.title == "mitmproxy delivered altered bytes for example.com/a@v1.0.0"
    assert "it, or somebody behind it" in found.detail


def test_two_deliverers_are_told_apart() -> None:
    found = findings(got(WRONG), got(WRONG, "mirror.example"), go_sum=(SUM,))
    assert len({item.key for item in found}) == 2
    (only,) = findings(got(WRONG), got(RIGHT, "mirror.example"), go_sum=(SUM,))
    assert only.title.startswith("proxy.golang.org delivered")


def test_two_contents_of_which_nothing_tells_the_right_one() -> None:
    (found,) = findings(got(WRONG), got(RIGHT, "mirror.example"))
    assert found.title == "example.com/a@v1.0.0 has two contents"
    assert "proxy.golang.org" in found.detail
    assert "mirror.example" in found.detail
    assert findings(got(WRONG), got(WRONG, "mirror.example")) == []

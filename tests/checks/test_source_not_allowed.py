"""source-not-allowed: another mirror than the policy lists, and origins where it has no `direct`."""

import pytest

from checks.cases import case
from checks.conftest import Run, kinds
from trace_go.checks.catalogue.source_not_allowed import find
from trace_go.model.policy import Policy, permits

MOD = "example.com/a/@v/v1.0.0.mod"
PAGE = "https://corp.example/m?go-get=1"


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "source-not-allowed:goproxy.cn"
    assert (found.severity, found.audience) == ("warning", "security")
    assert found.title == "The policy does not allow modules from goproxy.cn"
    assert found.remedy.command == "export GOPROXY=https://proxy.golang.org"
    assert {"packet", "log"} <= kinds(found)
    assert fires.whole.verdict.status == "suspicious"


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_where_a_mirror_redirects_to_is_its_own_affair(regression: Run) -> None:
    assert regression.found == []
    assert any(hop.role == "cdn" for request in regression.whole.requests for hop in request.hops)


@pytest.mark.parametrize(
    ("mirrors", "url", "env", "fires"),
    [
        (("a.test",), f"https://a.test/{MOD}", {}, False),
        (("*.test",), f"https://a.test/{MOD}", {}, False),
        (("b.test",), f"https://a.test/{MOD}", {}, True),
        ((), f"https://a.test/{MOD}", {}, True),
        (None, f"https://a.test/{MOD}", {}, False),
        (("a.test",), PAGE, {}, True),
        (("a.test", "direct"), PAGE, {}, False),
        (("a.test",), PAGE, {"GOPRIVATE": "corp.example"}, False),
    ],
)
def test_the_policy(mirrors: tuple[str, ...] | None, url: str, env: dict[str, str], fires: bool) -> None:
    found = case(url, status=200, policy=Policy(mirrors=mirrors), **{"GOPROXY": "https://a.test,direct", **env})
    assert bool(list(find(found))) is fires


def test_names_of_a_party() -> None:
    assert permits(("*.corp.example",), "A.corp.example")
    assert not permits(("*.corp.example",), "corp.example", None)
    assert permits(("192.0.2.1",), None, "192.0.2.1")

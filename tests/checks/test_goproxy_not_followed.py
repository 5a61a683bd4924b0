"""goproxy-not-followed: a mirror of nobody's list, a skipped one, an origin without `direct`."""

import pytest

from checks.cases import case
from checks.conftest import Run, checks_of
from trace_go.checks.catalogue.goproxy_not_followed import find


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "goproxy-not-followed:goproxy.cn"
    assert (found.severity, found.audience) == ("warning", "developer")
    assert found.title == "goproxy.cn was asked, which GOPROXY does not name"
    assert "GOPROXY=https://proxy.golang.org" in found.detail
    assert fires.whole.verdict.status == "degraded"
    assert fires.in_account.title == found.title


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_next_entry_after_a_404(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"unexpected-direct"}


def test_packets_alone_do_not_know_the_list(fires: Run) -> None:
    assert fires.packets.findings == []


MOD = "example.com/a/@v/v1.0.0.mod"


@pytest.mark.parametrize(
    ("goproxy", "urls", "title"),
    [
        ("https://a.test", [f"https://b.test/{MOD}"], "b.test was asked, which GOPROXY does not name"),
        ("https://a.test", ["https://corp.test/m?go-get=1"], "corp.test was asked, which GOPROXY does not name"),
        ("https://a.test,https://b.test", [f"https://b.test/{MOD}"], "a.test, the first of GOPROXY, was never asked"),
        ("https://a.test,https://b.test", [f"https://a.test/{MOD}", f"https://b.test/{MOD}"], ""),
        ("https://a.test,direct", ["https://corp.test/m?go-get=1"], "a.test, the first of GOPROXY, was never asked"),
        (
            "direct",
            ["https://corp.test/m?go-get=1", "https://m.test/corp.test/m/@v/list"],
            "",
        ),  # a mirror that it names
        ("direct", ["https://go.dev/dl/mod/golang.org/toolchain/@v/list"], ""),
        ("htps://a.test", [f"https://b.test/{MOD}"], ""),
    ],
)
def test_the_list(goproxy: str, urls: list[str], title: str) -> None:
    found = list(find(case(*urls, status=200, GOPROXY=goproxy)))
    assert [item.title for item in found] == ([title] if title else [])


def test_private_modules_go_their_own_way() -> None:
    found = case("https://corp.test/m?go-get=1", status=200, GOPROXY="https://a.test", GOPRIVATE="corp.test")
    assert list(find(found)) == []

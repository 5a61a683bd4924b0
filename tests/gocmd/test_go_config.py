"""trace-go.toml: the policy, and findings that a site suppresses."""

import pytest

from trace_go.gocmd.config import Suppression, load_config
from trace_go.model.errors import ConfigError
from trace_go.model.policy import Policy

TEXT = """\
mirrors = ["goproxy.corp.example"]

[policy]
mirrors = ["*.corp.example", "direct"]
forward-proxies = ["192.0.2.1", "2001:db8::1"]
interception-cas = []
private-modules = ["corp.example", "github.com/corp/*"]
minimum-tls = "1.3"

[[suppress]]
finding = "plain-http-mirror:goproxy.corp.example"
reason = "inside the data centre"
"""


def test_policy() -> None:
    assert load_config(TEXT).policy == Policy(
        mirrors=("*.corp.example", "direct"),
        forward_proxies=("192.0.2.1", "2001:db8::1"),
        interception_cas=(),
        private_modules=("corp.example", "github.com/corp/*"),
        minimum_tls="1.3",
    )
    assert load_config("").policy == Policy()


def test_suppressions() -> None:
    [rule] = load_config(TEXT).suppress
    assert (rule.check, rule.reason) == ("plain-http-mirror", "inside the data centre")


@pytest.mark.parametrize(
    ("finding", "key", "covered"),
    [
        ("a-check:host.example", "a-check:host.example", True),
        ("a-check:host.example", "a-check:host.example:443", False),
        ("a-check:*.example", "a-check:host.example", True),
        ("a-check:*", "a-check:line\nbreak", True),
        ("a-check", "a-check:host.example", True),
        ("a-check", "a-check-too:host.example", False),
        ("*:host.example", "a-check:host.example", True),
        ("a-check:h.st", "a-check:host", False),
    ],
)
def test_what_a_rule_covers(finding: str, key: str, covered: bool) -> None:
    assert Suppression(finding=finding, reason="x").covers(key) is covered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("policy = 1", "line 1: policy must be a table"),
        ("[policy]\n\nmirors = []", "line 1: policy: mirors is unknown; the keys are mirrors, "),
        (
            'mirrors = []\n[policy]\nmirrors = ["https://a.test"]',
            "line 3: policy: mirrors: 'https://a.test' is no host",
        ),
        ("[policy]\nprivate-modules = 'a'", "line 2: policy: private-modules must be a list of strings"),
        ('[policy]\nminimum-tls = "1.1"', "line 2: policy: minimum-tls must be one of '1.2', '1.3'"),
        ("[policy]\nminimum-tls = [1]", "line 2: policy: minimum-tls must be one of"),
        ("[suppress]\nfinding = 'a'", r"line 1: suppress is a list: write \[\[suppress\]\]"),
        ("[[suppress]]\nfinding = 'a'", "line 1: suppress number 1 needs a reason"),
        ("[[suppress]]\nfinding = 'a'\nreason = ' '", "suppress number 1 needs a reason"),
        ("[[suppress]]\nfinding = 'a'\nreason = 'b'\n[[suppress]]\nreason = 'b'", "suppress number 2 needs a finding"),
        ("[[suppress]]\nwhy = 'a'", "suppress number 1: why is unknown; the keys are finding, reason"),
    ],
)
def test_errors_name_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(text)

"""Credentials in a URL of the configuration.

What it means
    A setting of go or git holds a user name with a password, or a token, within a URL: `https://user:token@host`.

Why it matters
    Settings are seen by every process, printed by `go env`, and kept in shell histories and CI logs. go masks passwords
    in its own messages, other programs do not.

How we know
    The settings, as `go env` and the environment of the command tell them. Their values are masked in every report.

False positives
    A forward proxy takes credentials in no other way (HTTPS_PROXY): it is not reported.

What to do
    Put the credentials into ~/.netrc, which go reads for https URLs, or use GOAUTH; for git a credential helper.

References
    https://go.dev/ref/mod#private-module-proxy-auth, go help goauth, git-credential(1).
"""

import re
from collections.abc import Iterator

from trace_go.checks.command import setting
from trace_go.checks.framework import Meta, finding
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case
from trace_go.wire.secrets import MASK

META = Meta(group="go", severity=Severity.NOTE, audience=Audience.SECURITY, cause_rank=90)

_USERINFO = re.compile(rf"(?:https?)?://[^/?#@\s]*{MASK}@")
_SETTINGS = ("GOPROXY", "GOSUMDB")
_GIT = "GIT_CONFIG_"


def find(case: Case) -> Iterator[Finding]:
    account = case.account
    values = {name: account.go_env.get(name, "") for name in _SETTINGS}
    values |= {name: value for name, value in account.process_env.items() if name.startswith(_GIT)}
    for name, value in values.items():
        if not _USERINFO.search(value):
            continue
        own = name in _SETTINGS
        yield finding(
            case,
            "credentials-in-url",
            META,
            title=f"{name} holds credentials",
            detail=f"Every process sees {name}, and logs keep it.",
            remedy=Remedy(
                text="Put the credentials into ~/.netrc or a GOAUTH command, and take them out of the setting."
                if own
                else "Let git ask a credential helper for them, and take them out of the setting.",
                command=setting(case, name, _USERINFO.sub("https://", value))
                if own
                else "git config --show-origin credential.helper",
            ),
            subject=name,
            evidence=[evidence.env(f"{name}={value}")],
        )

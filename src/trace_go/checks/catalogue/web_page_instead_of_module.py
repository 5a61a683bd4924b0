"""A web page came in place of module data.

What it means
    A request of the module protocol was answered with status 200 and HTML: a login page of a single sign-on, the
    portal of a guest network, a firewall's notice, or a web server that is no mirror at all.

Why it matters
    go believes the status and reports a puzzling error about the content: `missing module line`, `malformed record
    data`, `invalid character '<'`, `not a valid zip file`. The module and the mirror's data may be in perfect order.

How we know
    The first bytes of the answer: in clear HTTP, or in go's HTTP/2 log. Nothing that the module protocol defines starts
    with `<`. Over HTTP/1.1 in TLS only go's own error tells, where it quotes that character.

False positives
    None known: a content type alone is not enough, since some mirrors label their files wrongly.

What to do
    Ask for the URL with curl and read the page. A sign-on wants credentials that go can send: a ~/.netrc entry or
    GOAUTH, and a mirror that answers 401 in place of a page. A portal wants you to open a browser once. If every host
    answers so, it is the network, not the mirror.

References
    https://go.dev/ref/mod#goproxy-protocol, RFC 8952 (captive portals).
"""

from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, failed, finding, redirected_by
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=47)


def find(case: Case) -> Iterator[Finding]:
    groups = failed(case, "web-page")
    for host, requests in groups.items():
        first = requests[0]
        sender = redirected_by(first)
        where = f"sends go to a web page of {target(first)}" if sender else "answers with a web page"
        everywhere = f" So did {count(len(groups) - 1, 'other host')}: it is the network." if len(groups) > 1 else ""
        yield finding(
            case,
            "web-page-instead-of-module",
            META,
            title=f"{sender or target(first)} {where} instead of module data",
            detail=f"{host} answered {count(len(requests), 'request')} with status 200 and HTML: a login page, a "
            f"portal, or no mirror at all. go takes it for {first.artifact} data.{everywhere}",
            remedy=Remedy(
                text="Read the page: log in where it wants it, or give go credentials (~/.netrc, GOAUTH).",
                command=shell("curl -sSL {}", first.url) if first.url else None,
            ),
            subject=host,
            requests=requests,
        )

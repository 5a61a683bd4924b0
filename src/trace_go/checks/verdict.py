"""The verdict: what stopped the command, or what endangers it, in one sentence with the fix."""

from collections.abc import Iterator, Sequence

from trace_go.checks.command import target
from trace_go.checks.framework import count, said
from trace_go.checks.ranking import ranked
from trace_go.model.evidence import Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity, Verdict, VerdictStatus
from trace_go.model.ledger import Artifact, HandledBy, Request
from trace_go.model.report import Case

MAX_FIXES = 3
_COMMON = ("The ", "A ", "An ", "Credentials ")
"""first words of titles that are no names"""


def verdict(case: Case, findings: Sequence[Finding]) -> Verdict:
    """findings: the selected ones, in any order; causes are ranked by what stopped the command first."""
    serious = [item for item in findings if item.severity is not Severity.NOTE]
    status = _status(case, serious)
    if status is VerdictStatus.OK:
        return Verdict(status=status, summary=_healthy(case), causes=(), fix=())
    causes = ranked(case, serious)
    return Verdict(
        status=status,
        summary=_summary(case, causes),
        causes=tuple(item.key for item in causes),
        fix=tuple(_fixes(causes))[:MAX_FIXES],
    )


def _fixes(causes: Sequence[Finding]) -> Iterator[Remedy]:
    """The remedies of causes, first things first: no command twice, and none for what an earlier fix puts right."""
    commands: set[str] = set()
    texts: set[str] = set()
    explained: set[int] = set()
    for item in causes:
        remedy = item.remedy
        again = remedy.command in commands if remedy.command else remedy.text in texts
        settled = bool(item.requests) and explained.issuperset(item.requests)
        if not again and not settled:
            yield remedy
        commands.add(remedy.command or "")
        texts.add(remedy.text)
        explained.update(item.requests if item.severity is Severity.ERROR else ())


def _status(case: Case, serious: Sequence[Finding]) -> VerdictStatus:
    code = case.account.exit_code
    stopped = any(item.severity is Severity.ERROR for item in serious)
    if code or (code is None and stopped):
        return VerdictStatus.FAILED
    if any(item.audience is Audience.SECURITY for item in serious):
        return VerdictStatus.SUSPICIOUS
    return VerdictStatus.DEGRADED if serious else VerdictStatus.OK


def _summary(case: Case, causes: Sequence[Finding]) -> str:
    code = case.account.exit_code
    stopped = any(item.severity is Severity.ERROR for item in causes)
    more = f" ({len(causes) - 1} more below)" if len(causes) > 1 else ""
    if not causes or (code and not stopped):  # what only endangers a command does not explain why it failed
        told = case.account.log.errors[-1:]
        why = said(told[0].text) if told else "nothing on the network path explains it."
        besides = f" Besides, {_inside(causes[0].title)}{more}." if causes else ""
        return f"The command failed with exit status {code}; {why}{besides}"
    return (f"It worked, but {_inside(causes[0].title)}" if code == 0 else causes[0].title) + f"{more}."


def _inside(title: str) -> str:
    """A title as a part of a sentence."""
    return title[:1].lower() + title[1:] if title.startswith(_COMMON) else title


def _healthy(case: Case) -> str:
    requests = case.requests
    if not requests:
        seen = any(item.fact == "Requests" and item.visibility is Visibility.SEEN for item in case.seeing)
        if case.account.argv and seen:
            return "The command made no module request: everything it needed was already there."
        return "No Go module request is visible in this input."
    if all(item.artifact is Artifact.CONNECTION for item in requests):
        hosts = list(dict.fromkeys(target(item) for item in requests))
        shown = ", ".join(hosts[:4]) + (" …" if len(hosts) > 4 else "")
        number = count(len(requests), "connection")
        return f"Nothing wrong is visible, but TLS hides what was asked and answered: {number} to {shown}."
    parties = {item: _parties(requests, item) for item in HandledBy}
    told = [f"{number} by {name}" for handler in HandledBy for name, number in parties[handler].items()]
    answered = sum(number for handler in parties for number in parties[handler].values())
    noun = "request" if answered == 1 else "requests"
    return f"{answered} {noun} answered: {', '.join(told[:4])}{' …' if len(told) > 4 else ''}."


def _parties(requests: Sequence[Request], handler: HandledBy) -> dict[str, int]:
    """Who answered, as `proxy.golang.org (mirror)`, with the number of requests."""
    found: dict[str, int] = {}
    for item in requests:
        if item.handled_by is handler and item.hops and handler is not HandledBy.NONE:
            word = "claimed, not observable" if handler is HandledBy.UNKNOWN else handler.value
            name = f"{target(item)} ({word})"
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))

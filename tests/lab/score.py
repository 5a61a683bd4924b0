"""How right a report is: a pure function of the report (JSON), the scenario's truth and the servers' own log.

A report is made from one of five inputs (KINDS). With go's account every request must be listed, with its handler and
its hops. What packets alone do not show is "not observable" and no fault, but nothing may be wrong.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lab.scenario import Expected, Outcome, Truth
from trace_go.wire.secrets import mask_url

KINDS = {
    "live": "the run itself",
    "bundle": "what `-w` kept: packets, go's account, environment",
    "packets": "the client's packets alone",
    "keys": "the same packets and the TLS keys",
    "beyond": "the packets beyond the gateway alone",
}
AGENTS = ("Go-http-client", "GoCommand")
ANSWERED = ("direct", "mirror", "checksum-db")
NOT_OBSERVABLE = ("unknown", "none")

Json = Mapping[str, Any]
Graded = tuple[str, str]  # a counter of Score; what is wrong, for people


class Score(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One report against the truth."""

    expected: str = ""  # check ID of the cause that this input shows first
    right: int = 0  # requests with the right handler and hops
    unseen: int = 0  # requests of which the input does not show who handled them
    wrong: int = 0  # requests with another handler or other hops, and those that nobody made
    absent: int = 0  # requests that a server answered or the truth knows, and the report does not
    cause: bool = True  # the first cause is right
    status: bool = True  # the verdict's status is
    missed: tuple[str, ...] = ()  # check IDs
    false: tuple[str, ...] = ()  # check IDs
    notes: tuple[str, ...] = ()  # what is not right, for people

    @property
    def flaws(self) -> set[str]:
        """What is not right."""
        found = {name for name in ("wrong", "absent") if getattr(self, name)}
        found |= {name for name in ("cause", "status") if not getattr(self, name)}
        return found | {f"missed {name}" for name in self.missed} | {f"false {name}" for name in self.false}

    @property
    def state(self) -> set[str]:
        """By which scores of different runs are compared: numbers of connections differ."""
        unseen = {"not observable"} if self.unseen and not self.right else set()
        return self.flaws | (unseen if self.right or self.unseen or self.wrong else {"nothing listed"})


def score(kind: str, report: Json, truth: Truth, served: Iterable[Json]) -> Score:
    """kind: one of KINDS. served: rows of served.jsonl. Beyond the gateway only the handlers are judged."""
    account = kind in ("live", "bundle")
    graded = list(_with_account(report, truth, served) if account else _packets(report, truth, beyond=kind == "beyond"))
    graded += _absent(report["requests"], served) if kind == "keys" else []
    count = Counter(grade for grade, _ in graded)
    requests = Score(
        right=count["right"],
        unseen=count["unseen"],
        wrong=count["wrong"],
        absent=count["absent"],
        notes=tuple(note for _, note in graded if note),
    )
    if kind == "beyond":
        return requests
    outcome, verdict = truth if account else truth.packets, report["verdict"]
    cause = next((key.partition(":")[0] for key in verdict["causes"]), "")
    found, told = {item["id"] for item in report["findings"]}, set(outcome.findings)
    if kind == "keys":
        outcome = truth.keys or _with_keys(truth, cause, verdict["status"], found)
        told = set(outcome.findings)
    wrong_cause = f"first cause {cause or 'none'}, not {outcome.cause or 'none'}" if cause != outcome.cause else ""
    wrong_status = f"verdict {verdict['status']}, not {outcome.status}" if verdict["status"] != outcome.status else ""
    return replace(
        requests,
        expected=outcome.cause,
        cause=not wrong_cause,
        status=not wrong_status,
        missed=tuple(sorted(told - found)),
        false=tuple(sorted(found - told)),
        notes=(*requests.notes, *filter(None, (wrong_cause, wrong_status))),
    )


def _with_account(report: Json, truth: Truth, served: Iterable[Json]) -> Iterator[Graded]:
    rows = report["requests"]
    served = list(served)
    logged = {_url(row): row for row in served}
    hosts = {row["host"] for row in logged.values()}
    for row in rows:
        url, said = row["url"] or "", _said(row)
        item = next((item for item in truth.requests if fnmatchcase(url, item.url)), None)
        if item is None:
            yield "wrong", f"{url}: the truth does not know it"
        elif said != (right := (item.handled_by, item.claims_to_be, *item.hops)):
            yield "wrong", f"{url}: {_words(said)}, not {_words(right)}"
        elif row["handled_by"] in ANSWERED and _host(url) in hosts and not _answered(_same(url), logged):
            yield "wrong", f"{url}: no server answered it"
        else:
            yield "right", ""
    yield from _absent(rows, served)
    for item in truth.requests:
        if not any(fnmatchcase(row["url"] or "", item.url) for row in rows):
            yield "absent", f"{item.url}: nothing in the ledger"


def out_of_bounds(closed: Json, opened: Json) -> list[str]:
    """What was inferred of connections in one report and is not so by another of the same packets, which opens them."""
    found = []
    for row in closed["requests"]:
        for item in row["inferred"]:
            if item["least"] is None:
                continue
            sent = opened["flows"][row["hops"][-1]["flow"]]["http"]
            least = most = len(sent)
            if item["kind"] == "answer-bytes":  # an answer that was cut off has the length that it announced
                least = sum(one["body_bytes"] or 0 for one in sent if one["duration_s"] is not None)
                most = sum(one["body_bytes"] or 0 for one in sent)
            if item["least"] > most or item["most"] < least:
                found.append(f"{item['text']}: not {least} to {most}")
    return found


def _absent(rows: Sequence[Json], served: Iterable[Json]) -> Iterator[Graded]:
    """What servers answered to go, and the ledger does not have."""
    listed = {_same(url) for row in rows for url in (row["url"] or "", *row["redirects"])}  # a redirect has one row
    for url, entry in {_url(row): row for row in served}.items():
        if entry["agent"].startswith(AGENTS) and url not in listed:
            yield "absent", f"{url}: was answered, and is not in the ledger"


def _with_keys(truth: Truth, cause: str, status: str, found: set[str]) -> Outcome:
    """What packets and keys may say: the truth, or as much of it as they show; all that packets alone show of it."""
    either = {*truth.findings, *truth.packets.findings}
    shown = truth.cause in found or cause not in {*either, truth.packets.cause}
    return Outcome(
        status=status if status in (truth.status, truth.packets.status) else truth.status,
        cause=truth.cause if shown else cause,
        findings=sorted((found & either) | set(truth.findings) & set(truth.packets.findings)),
    )


def _packets(report: Json, truth: Truth, *, beyond: bool) -> Iterator[Graded]:
    """A row without URL is a connection: any request to its host may be in it."""
    for row in report["requests"]:
        name = row["url"] or next((hop["host"] for hop in reversed(row["hops"]) if hop["host"]), "")
        may_be = [item for item in truth.requests if _matches(row["url"], name, item.url)]
        handler, claims, *hops = said = _said(row)
        if any((handler, claims) == (it.handled_by, it.claims_to_be) and _within(hops, it.hops) for it in may_be):
            yield "right", ""
        elif handler in NOT_OBSERVABLE or (beyond and handler in ANSWERED and any(map(_cut, may_be))):
            yield "unseen", ""
        else:
            yield "wrong", f"{name}: {_words(said)}"


def _cut(item: Expected) -> bool:
    """Whether beyond the gateway somebody else may have answered: what stands here never came, or came changed."""
    return item.handled_by in ("none", "mitm")


def _said(row: Json) -> tuple[str, ...]:
    """Handler, whom it claims to be, and the roles of the hops that were reached, the broken one included."""
    roles, ends = [hop["role"] for hop in row["hops"]], [hop["broken"] for hop in row["hops"]]
    reached = roles[: ends.index(True) + 1] if True in ends else roles
    return row["handled_by"], row["claims_to_be"] or "", *reached


def _words(said: Sequence[str]) -> str:
    handler, claims, *hops = said
    return f"{handler}{f' as {claims}' if claims else ''} by {' '.join(hops) or 'nobody'}"


def _matches(url: str | None, host: str, pattern: str) -> bool:
    return fnmatchcase(url, pattern) if url else fnmatchcase(host, _host(pattern))


def _within(hops: Sequence[str], all_hops: Sequence[str]) -> bool:
    """Whether these hops are among all, in the same order."""
    rest = iter(all_hops)
    return all(hop in rest for hop in hops)


def _url(served: Json) -> str:
    return _same(mask_url(f"{served['scheme']}://{served['host']}{served['uri']}"))


def _same(url: str) -> str:
    """go prints the escape of upper case in two ways."""
    return url.replace("%21", "!")


def _host(url: str) -> str:
    return url.split("/")[2] if url.count("/") > 1 else url


def _answered(url: str, logged: Iterable[str]) -> bool:
    """Whether a server's log has the URL, or one below: git asks for several at a repository's."""
    return any(entry == url or entry.startswith(f"{url}/") for entry in logged)

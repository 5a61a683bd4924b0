"""Redirects: which answers named another URL, where they led, and how far go followed them.

Source: net/http (Client.checkRedirect), cmd/go/internal/web/http.go (checkRedirect).
"""

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from trace_go.model.go import Http2Exchange
from trace_go.model.http import Exchange
from trace_go.model.ledger import Failure, Stage
from trace_go.paths.urls import host_of, join
from trace_go.wire.secrets import mask_url

MAX_REDIRECTS = 10
"""net/http gives up after as many (Client.checkRedirect)"""


class Answer(Struct, frozen=True, kw_only=True):
    """One answered or unanswered sending of a URL."""

    url: str
    status: int | None
    target: str | None
    """of a redirect: the absolute URL"""
    web_page: bool | None = None
    body_bytes: int = -1
    h1: str | None = None

    @classmethod
    def of(cls, sent: Http2Exchange | Exchange) -> "Answer":
        shown = sent if isinstance(sent, Exchange) else None
        return cls(
            url=sent.url,
            status=sent.status,
            target=join(sent.url, sent.location) if sent.location else None,
            web_page=sent.web_page,
            body_bytes=shown.body_bytes if shown else -1,
            h1=shown.h1 if shown else None,
        )


class Redirects:
    """Every answer that a source shows, by URL, and what their `Location` named."""

    def __init__(self) -> None:
        self._answers: dict[str, list[Answer]] = defaultdict(list)
        self._named_in_log: dict[str, int] = {}
        """target of a redirect in the HTTP/2 log → its line"""
        self._named_in_packets: dict[str, int] = {}
        """target of a redirect in clear or decrypted HTTP → ns"""

    def add(self, sent: Http2Exchange | Exchange) -> None:
        answer = Answer.of(sent)
        self._answers[mask_url(answer.url)].append(answer)
        if answer.target is None:
            return
        if isinstance(sent, Exchange):
            self._named_in_packets.setdefault(mask_url(answer.target), sent.request_ns)
        else:
            self._named_in_log.setdefault(mask_url(answer.target), sent.line)

    def led_to(self, url: str, at_ns: int) -> bool:
        """Whether an earlier `Location` named the URL of a request in the packets."""
        return self._named_in_packets.get(mask_url(url), at_ns) < at_ns

    def led_to_logged(self, url: str, line: int) -> bool:
        """As led_to, for a request of the HTTP/2 log; a clear one leads there too, and nothing back to clear."""
        return self._named_in_log.get(mask_url(url), line) < line or mask_url(url) in self._named_in_packets

    def trail(self, answer: Answer) -> tuple[tuple[str, ...], Answer]:
        """(URLs of the redirects from this answer on, the last answer known)."""
        urls: list[str] = []
        while answer.target and len(urls) < MAX_REDIRECTS:
            urls.append(answer.target)
            following = self._answers.get(mask_url(answer.target))
            if not following:
                break
            answer = following[-1]
        return tuple(urls), answer


def followed(url: str, trail: Sequence[str], found: Failure | None, failed_at: str | None) -> tuple[str, ...]:
    """The redirects that go followed. failed_at: the URL that its error names."""
    if found and found.kind in ("insecure-redirect", "redirect-loop"):
        return tuple(trail[:-1])
    if url.startswith("https://") and any(item.startswith("http://") for item in trail):
        return ()  # go refuses them (web/http.go, checkRedirect)
    if failed_at is None or host_of(failed_at) == host_of(url):
        return () if found and found.stage is not Stage.STATUS and failed_at else tuple(trail)
    cut = next((number for number, item in enumerate(trail) if mask_url(item) == mask_url(failed_at)), len(trail))
    return (*trail[:cut], failed_at)

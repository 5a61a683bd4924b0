"""Which GOPROXY entry a request belongs to, and why the next was or was not tried.

Source: cmd/go/internal/modfetch/proxy.go (TryProxies), repo.go (GONOPROXY) and sumdb.go (initBase). Each request starts
at the first entry again. An entry followed by a comma lets only 404 and 410 through to the next, one followed by a bar
any failure. Modules that GONOPROXY matches go to their origin, whatever GOPROXY says.
"""

from collections.abc import Sequence

from msgspec import Struct

from trace_go.gocmd.environment import GoSettings, match_globs
from trace_go.model.go import Fetch, ProxyEntry
from trace_go.model.ledger import Artifact
from trace_go.wire.goproxy import ModuleUrl, maybe_module_url

NOT_FOUND = frozenset({404, 410})
"""web.HTTPError.Is(fs.ErrNotExist)"""

_DIRECT = ProxyEntry(url="direct", falls_through_on="end")


class Attempt(Struct, frozen=True, kw_only=True):
    """What one `# get` pair was in the plan of GOPROXY."""

    parts: ModuleUrl | None
    entry: ProxyEntry | None
    """None when the URL belongs to no entry (another environment, the checksum database itself)"""
    number: int
    """1 for the first entry that is asked for this artifact, 2 for the next, …"""
    why: str | None
    """why the next entry was or was not tried; None when it was not needed"""
    goes_on: bool = False
    """the outcome makes go ask the next entry"""


def route(module: str, settings: GoSettings) -> tuple[ProxyEntry, ...]:
    """The entries that apply to a module, in order."""
    return (_DIRECT,) if match_globs(settings.noproxy, module) else settings.proxies


def explain_next(entry: ProxyEntry, next_entry: ProxyEntry | None, status: int | None, error: bool) -> tuple[bool, str]:
    """Whether go asks the next entry after this outcome, and why, in one sentence."""
    if not error and status is not None and status < 400:
        return False, f"{status} answers: no other entry is needed"
    what = "a failed request" if status is None or error else str(status)
    if next_entry is None or entry.falls_through_on == "end":
        return False, f"{what} is final: no entry of GOPROXY comes after {entry.url}"
    if entry.falls_through_on == "any":
        return True, f"{what} before a bar goes on to {next_entry.url}: any failure does"
    if status in NOT_FOUND and not error:
        return True, f"{what} before a comma goes on to {next_entry.url}"
    return False, f"{what} before a comma stops: only 404 and 410 go on to the next entry"


def attempts(fetches: Sequence[Fetch], settings: GoSettings) -> tuple[Attempt, ...]:
    """One Attempt for each fetch, in the same order."""
    bases = [entry.url for entry in settings.proxies if "://" in entry.url]
    if settings.sumdb_url:
        bases.append(settings.sumdb_url)
    return tuple(_attempt(fetch, tuple(bases), settings) for fetch in fetches)


def _attempt(fetch: Fetch, bases: tuple[str, ...], settings: GoSettings) -> Attempt:
    parts = maybe_module_url(fetch.url, bases)
    if parts is None:
        return Attempt(parts=None, entry=None, number=1, why=None)
    entries = settings.proxies if parts.sumdb or not parts.module else route(parts.module, settings)
    base = _DIRECT.url if parts.artifact is Artifact.GO_GET else parts.base
    index = next((number for number, entry in enumerate(entries) if entry.url == base), None)
    if index is None:
        return Attempt(parts=parts, entry=None, number=1, why=None)
    failed = fetch.error is not None or (fetch.status is not None and fetch.status >= 400)
    entry, following = entries[index], next(iter(entries[index + 1 :]), None)
    # A checksum database is found once by asking each entry whether it is supported; later requests have one place only
    chosen = parts.sumdb is not None and parts.artifact is not Artifact.SUMDB_SUPPORTED
    goes_on, why = False, None
    if failed and parts.artifact is Artifact.SUMDB_SUPPORTED:
        goes_on, why = _explain_supported(entry, following, fetch)
    elif failed and not chosen:
        goes_on, why = explain_next(entry, following, fetch.status, fetch.error is not None)
    return Attempt(parts=parts, entry=entry, number=1 if chosen else index + 1, why=why, goes_on=goes_on)


def _explain_supported(entry: ProxyEntry, following: ProxyEntry | None, fetch: Fetch) -> tuple[bool, str]:
    if fetch.error is None and fetch.status in NOT_FOUND:
        further = (
            f"{following.url} is asked" if following and "://" in following.url else "the database itself is asked"
        )
        return True, f"{fetch.status} is harmless: this entry does not serve the checksum database, {further}"
    falls_through, why = explain_next(entry, following, fetch.status, fetch.error is not None)
    return falls_through, why if falls_through else f"{why}; the checksum database counts as unavailable"

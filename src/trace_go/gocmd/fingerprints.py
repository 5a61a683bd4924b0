"""Which client a ClientHello is: data/fingerprints.toml.

A ClientHello shows a TLS library with its settings, not a program: another Go program with the defaults of a release
looks like the go command of that release, and one built for an older go line may look like an older go command.
"""

import tomllib
from functools import cache, lru_cache
from pathlib import Path

from msgspec import Struct

from trace_go.model.tls import ClientHello

GO_ALPN = ("h2", "http/1.1")
"""what the go command offers (net/http)"""
OTHER_GO = "program built with Go"
REMEMBERED = 1024
"""answers kept: hellos of one program have one fingerprint"""


class _Row(Struct, frozen=True, kw_only=True):
    name: str
    """empty for a row of the go command"""
    first: str = ""
    last: str = ""
    ja3: frozenset[str]
    ja4: frozenset[str] = frozenset()


def name_client(hello: ClientHello) -> str:
    """Who sent it, as `client_name` says."""
    return client_name(hello.ja3, hello.ja4, hello.alpn)


@lru_cache(maxsize=REMEMBERED)
def client_name(ja3: str, ja4: str, alpn: tuple[str, ...]) -> str:
    """`go 1.26`, `go 1.21–1.22`, `program built with Go`, `git (libcurl with GnuTLS)`, or empty when unknown.

    ja4: empty when not known; two releases that only JA4 tells apart are then named together. alpn: as offered.
    """
    rows = [row for row in _rows() if ja3 in row.ja3]
    exact = [row for row in rows if row.first and not (ja4 and row.ja4 and ja4 not in row.ja4)]
    if exact and alpn == GO_ALPN:
        first, last = exact[0].first, exact[-1].last
        return f"go {first}" if first == last else f"go {first}–{last}"
    return next((row.name or OTHER_GO for row in rows), "")


@cache
def _rows() -> tuple[_Row, ...]:
    """Rows of the go command in order of release, then the others."""
    table = tomllib.loads((Path(__file__).parent / "data" / "fingerprints.toml").read_text(encoding="utf-8"))
    return (
        *(
            _Row(
                name="",
                first=row["releases"][0],
                last=row["releases"][1],
                ja3=frozenset(row["ja3"]),
                ja4=frozenset(row.get("ja4", ())),
            )
            for row in table["go"]
        ),
        *(_Row(name=OTHER_GO, ja3=frozenset(row["ja3"])) for row in table["other-go"]),
        *(_Row(name=row["name"], ja3=frozenset(row["ja3"])) for row in table["other"]),
    )

"""URLs of the go command: the module proxy protocol, the checksum database, `?go-get=1` and git over HTTP.

Sources: cmd/go/internal/modfetch/proxy.go and sumdb.go, golang.org/x/mod/module (escaping), x/mod/sumdb/server.go and
tlog/tile.go, cmd/go/internal/vcs urlForImportPath; git's http-protocol documentation.
"""

import re
from urllib.parse import unquote

from msgspec import Struct

from trace_go.model.ledger import Artifact

TOOLCHAIN_MODULE = "golang.org/toolchain"
CHECKSUM_DBS = frozenset({"sum.golang.org", "sum.golang.google.cn"})

MAX_ELEMENTS = 64  # ours: path elements; a mirror's prefix, a module and its file have some 20

_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r":[0-9]*$")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_UPPER = re.compile(r"[A-Z]")
_BANG = re.compile(r"!([a-z])")
_ESCAPED = re.compile(r"(?:[\x00-\x20\x22-@\[-\x7f]|![a-z])*")  # ASCII
_MODULE = re.compile(r"[\w.~-]+(?:/[\w.~-]+)*", re.ASCII)  # modPathOK
_VERSION = re.compile(r"[\w#$%&()+,.=@\[\]^{}~ -]+", re.ASCII)  # fileNameOK of EscapeVersion

_FILES = {
    "info": Artifact.INFO,
    "mod": Artifact.MOD,
    "zip": Artifact.ZIP,
    "ziphash": Artifact.OTHER,  # a file of the module cache; go never asks for it
}
_LOOKUP = re.compile(r"lookup/([^@]+)@(v[0-9]+\.[0-9]+\.[0-9]+(?:-[^@]*)?(?:\+incompatible)?)")  # modVerRE
_TILE = re.compile(r"tile/[0-9]{1,2}/(?:data|[0-9]{1,2})/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[0-9]+)?")  # ParseTilePath

_GIT_REFS, _GIT_PACK = ["info", "refs"], "git-upload-pack"


class ModuleUrl(Struct, frozen=True, kw_only=True):
    artifact: Artifact
    module: str | None
    """unescaped path"""
    version: str | None
    """unescaped; a branch or revision where go asked for one"""
    base: str
    """the given base that fits best, as it was given; else the URL before the module path (of GIT the repository),
    without userinfo"""
    sumdb: str | None = None
    """name of the checksum database"""


class _Place(Struct, frozen=True, kw_only=True):
    """A URL cut up; userinfo is dropped."""

    origin: str
    server: tuple[str, str]
    """scheme and host in lower case, without the scheme's own port"""
    raw: list[str]
    """path elements as written, empty ones left out"""
    elements: list[str]
    """the same, decoded"""
    query: list[str]

    def prefix(self, depth: int) -> str:
        return "/".join([self.origin, *self.raw[:depth]])


def escape(text: str) -> str:
    """Upper case as `!x` (module.EscapePath); other characters stay, also those that no valid path holds."""
    return _UPPER.sub(lambda match: "!" + match[0].lower(), text)


def unescape(text: str) -> str | None:
    """The reverse; None when go would not have written it so (module.unescapeString)."""
    return _BANG.sub(lambda match: match[1].upper(), text) if _ESCAPED.fullmatch(text) else None


def maybe_module_url(url: str, bases: tuple[str, ...] = ()) -> ModuleUrl | None:
    """What the go command asks for with an absolute http(s) URL; None when it is nothing of go's.

    bases: GOPROXY entries and checksum database URLs; the longest that fits splits base from module. The base also
    takes what follows up to the first path element with a dot: every module path starts with one.
    """
    place = _maybe_place(url)
    if not place or len(place.raw) > MAX_ELEMENTS:
        return None
    if "go-get=1" in place.query:
        module = "/".join([_PORT.sub("", place.server[1]), *place.elements])
        return ModuleUrl(artifact=Artifact.GO_GET, module=module, version=None, base=place.origin)
    if place.raw[-1:] == [_GIT_PACK]:
        return ModuleUrl(artifact=Artifact.GIT, module=None, version=None, base=place.prefix(-1))
    if place.raw[-2:] == _GIT_REFS and f"service={_GIT_PACK}" in place.query:
        return ModuleUrl(artifact=Artifact.GIT, module=None, version=None, base=place.prefix(-2))
    base, depth = None, 0
    for known in bases:
        size = _maybe_depth(place, known)
        if size is not None and (base is None or size > depth):
            base, depth = known, size
    return _maybe_module(place, base, depth) or _maybe_proxied_db(place, base, depth) or _maybe_db(place, base, depth)


def _maybe_place(url: str) -> _Place | None:
    parts = _URL.fullmatch(url)
    if not parts:
        return None
    scheme, host = parts[1].lower(), parts[2].rpartition("@")[2]
    raw = [element for element in parts[3].split("/") if element]
    return _Place(
        origin=f"{scheme}://{host}",
        server=(scheme, host.lower().removesuffix(_DEFAULT_PORTS[scheme])),
        raw=raw,
        elements=[unquote(element) for element in raw],
        query=(parts[4] or "").split("&"),
    )


def _maybe_depth(place: _Place, base: str) -> int | None:
    """How many path elements of the place the base covers; None when the place is not below it."""
    known = _maybe_place(base if "://" in base else f"https://{base}")  # as modfetch.proxyList completes entries
    if not known or known.server != place.server:
        return None
    depth = len(known.elements)
    return depth if known.elements == place.elements[:depth] else None


def _maybe_module(place: _Place, base: str | None, depth: int) -> ModuleUrl | None:
    version = None
    match place.elements[depth:]:
        case [*path, "@latest"]:
            artifact = Artifact.LATEST
        case [*path, "@v", "list"]:
            artifact = Artifact.LIST
        case [*path, "@v", file]:
            escaped, _, suffix = file.rpartition(".")
            version = unescape(escaped)
            if suffix not in _FILES or version is None or not _VERSION.fullmatch(version):
                return None
            artifact = _FILES[suffix]
        case _:
            return None
    lead = next((i for i, element in enumerate(path) if "." in element), 0)
    module = unescape("/".join(path[lead:]))
    if module is None or not _MODULE.fullmatch(module):
        return None
    if module == TOOLCHAIN_MODULE and artifact is Artifact.ZIP:
        artifact = Artifact.TOOLCHAIN
    if base is None or lead:
        base = place.prefix(depth + lead)
    return ModuleUrl(artifact=artifact, module=module, version=version, base=base)


def _maybe_proxied_db(place: _Place, base: str | None, depth: int) -> ModuleUrl | None:
    """`BASE/sumdb/NAME/…`; also when the given base is the whole of `BASE/sumdb/NAME`."""
    elements = place.elements
    for mark in (*range(depth, len(elements)), *range(depth)):
        if elements[mark] != "sumdb":
            continue
        for start in range(mark + 2, len(elements)):
            asked = _maybe_asked(elements[start:])
            if asked:
                prefix = base if base and depth >= mark else place.prefix(mark)
                return _of_db(asked, prefix, "/".join(elements[mark + 1 : start]))
    return None


def _maybe_db(place: _Place, base: str | None, depth: int) -> ModuleUrl | None:
    """A database itself. `/latest` says too little on a server that we do not know."""
    host = place.server[1]
    asked = _maybe_asked(place.elements[depth:])
    if not asked or asked[0] is Artifact.SUMDB_SUPPORTED:
        return None
    if asked[0] is Artifact.SUMDB_LATEST and not base and host not in CHECKSUM_DBS:
        return None
    return _of_db(asked, base or place.origin, "/".join([host, *place.elements[:depth]]))


_Asked = tuple[Artifact, str | None, str | None]


def _maybe_asked(elements: list[str]) -> _Asked | None:
    """Artifact, module and version of a path below a checksum database."""
    match elements:
        case ["supported"]:
            return Artifact.SUMDB_SUPPORTED, None, None
        case ["latest"]:
            return Artifact.SUMDB_LATEST, None, None
        case ["tile", *_]:
            return (Artifact.SUMDB_TILE, None, None) if _TILE.fullmatch("/".join(elements)) else None
        case ["lookup", *_]:
            lookup = _LOOKUP.fullmatch("/".join(elements))
            module, version = (unescape(lookup[1]), unescape(lookup[2])) if lookup else (None, None)
            if module is not None and version is not None and _MODULE.fullmatch(module) and _VERSION.fullmatch(version):
                return Artifact.SUMDB_LOOKUP, module, version
    return None


def _of_db(asked: _Asked, base: str, sumdb: str) -> ModuleUrl:
    artifact, module, version = asked
    return ModuleUrl(artifact=artifact, module=module, version=version, base=base, sumdb=sumdb)

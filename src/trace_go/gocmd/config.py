"""trace-go.toml: what a site adds to the built-in knowledge.

    mirrors = ["goproxy.corp.example", "*.mirrors.corp.example"]
    sumdbs = ["sum.corp.example"]
    forward-proxies = ["proxy.corp.example:3128"]
    interception-cas = ["Corp TLS Inspection CA"]
    public-roots = "roots.pem"

Every key is optional. Hosts are names or addresses with an optional port; `*.` stands for every name below.
public-roots is a PEM file, relative to this one, of the roots that public hosts chain to in a closed network that plays
them; Mozilla's otherwise.
Interception CAs are issuer names of the certificates that the site's machine makes (see trust/interceptors.py).
"""

import re
import tomllib

from msgspec import Struct

from trace_go.model.errors import ConfigError

_HOST = re.compile(r"(?:\*\.)?[\w-]+(?:\.[\w-]+)*(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?", re.ASCII)
_HOST_KEYS = ("mirrors", "sumdbs", "forward-proxies")
_KEYS = (*_HOST_KEYS, "interception-cas", "public-roots")


class Config(Struct, frozen=True, kw_only=True):
    mirrors: tuple[str, ...] = ()
    sumdbs: tuple[str, ...] = ()
    forward_proxies: tuple[str, ...] = ()
    interception_cas: tuple[str, ...] = ()
    public_roots: str | None = None


def load_config(text: str) -> Config:
    """Read the text of a configuration file. Raises ConfigError with line and key; the caller knows the file."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"no valid TOML: {error}") from error
    for key, value in table.items():
        place = f"line {_line(text, key)}: {key}"
        if key not in _KEYS:
            raise ConfigError(f"{place} is unknown; the keys are {', '.join(_KEYS)}")
        if key == "public-roots":
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{place} must be the name of a file")
            continue
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ConfigError(f"{place} must be a list of strings")
        for item in value if key in _HOST_KEYS else ():
            if not _HOST.fullmatch(item):
                raise ConfigError(f"{place}: {item!r} is no host; write goproxy.corp.example, without scheme and path")
    fields = {key.replace("-", "_"): tuple(value) for key, value in table.items() if key != "public-roots"}
    return Config(**fields, public_roots=table.get("public-roots"))


def _line(text: str, key: str) -> int:
    """Line of a top-level key or table, from 1."""
    found = re.search(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*[.=\]]", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1

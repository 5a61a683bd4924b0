"""trace-go.toml: what a site adds to the built-in knowledge, what it allows, and which findings it has accepted.

    mirrors = ["goproxy.corp.example", "*.mirrors.corp.example"]
    sumdbs = ["sum.corp.example"]
    forward-proxies = ["proxy.corp.example:3128"]
    interception-cas = ["Corp TLS Inspection CA"]
    public-roots = "roots.pem"

    [policy]
    mirrors = ["goproxy.corp.example"]
    forward-proxies = ["proxy.corp.example"]
    interception-cas = []
    private-modules = ["corp.example", "github.com/corp/*"]
    minimum-tls = "1.2"

    [[suppress]]
    finding = "plain-http-mirror:goproxy.corp.example"
    reason = "inside the data centre, until it has a certificate"

Every key is optional. Hosts are names or addresses with an optional port; `*.` stands for every name below.
public-roots is a PEM file, relative to this one, of the roots that public hosts chain to in a closed network that plays
them; Mozilla's otherwise.
Interception CAs are issuer names of the certificates that the site's machine makes (see trust/interceptors.py).
What differs from [policy] is a finding; hosts have no port there, and `direct` among the mirrors allows origins.
A finding is named by its key, `CHECK:SUBJECT` as in JSON and in `-v`, where `*` stands for anything; `CHECK` alone
names all of a check.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from trace_go.model.errors import ConfigError
from trace_go.model.policy import Policy

_NAME = r"(?:\*\.)?[\w-]+(?:\.[\w-]+)*"
_HOST = re.compile(rf"{_NAME}(?::\d{{1,5}})?|\[[0-9A-Fa-f:.]+\](?::\d{{1,5}})?", re.ASCII)
_POLICY_HOST = re.compile(rf"{_NAME}|[0-9A-Fa-f:.]+", re.ASCII)
_HOST_KEYS = ("mirrors", "sumdbs", "forward-proxies")
_KEYS = (*_HOST_KEYS, "interception-cas", "public-roots", "policy", "suppress")
_POLICY_HOST_KEYS = ("mirrors", "forward-proxies")
_POLICY_KEYS = (*_POLICY_HOST_KEYS, "interception-cas", "private-modules", "minimum-tls")
_SUPPRESS_KEYS = ("finding", "reason")
_VERSIONS = ("1.2", "1.3")


class Suppression(Struct, frozen=True, kw_only=True):
    finding: str
    """key of a finding, `*` for anything"""
    reason: str

    @property
    def check(self) -> str:
        return self.finding.partition(":")[0]

    def covers(self, key: str) -> bool:
        _, colon, subject = self.finding.partition(":")
        pattern = re.escape(f"{self.check}:{subject if colon else '*'}").replace(r"\*", ".*")
        return re.fullmatch(pattern, key, re.DOTALL) is not None


class Config(Struct, frozen=True, kw_only=True):
    mirrors: tuple[str, ...] = ()
    sumdbs: tuple[str, ...] = ()
    forward_proxies: tuple[str, ...] = ()
    interception_cas: tuple[str, ...] = ()
    public_roots: str | None = None
    policy: Policy = Policy()
    suppress: tuple[Suppression, ...] = ()


def load_config(text: str) -> Config:
    """Read the text of a configuration file. Raises ConfigError with line and key; the caller knows the file."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number too long to be read
        raise ConfigError(f"no valid TOML: {error}") from error
    fields: dict[str, Any] = {}
    for key, value in table.items():
        place = f"line {_line(text, key)}: {key}"
        if key not in _KEYS:
            raise ConfigError(f"{place} is unknown; the keys are {', '.join(_KEYS)}")
        name = key.replace("-", "_")
        if key == "public-roots":
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{place} must be the name of a file")
            fields[name] = value
        elif key == "policy":
            fields[name] = _policy(text, value)
        elif key == "suppress":
            fields[name] = _suppressions(text, value)
        else:
            fields[name] = _strings(place, value)
            for item in fields[name] if key in _HOST_KEYS else ():
                if not _HOST.fullmatch(item):
                    raise ConfigError(
                        f"{place}: {item!r} is no host; write goproxy.corp.example, without scheme and path"
                    )
    return Config(**fields)


def _policy(text: str, table: Any) -> Policy:
    start = _offset(text, "policy")
    fields: dict[str, Any] = {}
    for key, value in _table(f"line {_line(text, 'policy')}: policy", table, _POLICY_KEYS).items():
        place = f"line {_line(text, key, start)}: policy: {key}"
        if key == "minimum-tls":
            if value not in _VERSIONS:
                raise ConfigError(f"{place} must be one of {', '.join(map(repr, _VERSIONS))}")
            fields["minimum_tls"] = value
            continue
        items = fields[key.replace("-", "_")] = _strings(place, value)
        for item in items if key in _POLICY_HOST_KEYS else ():
            if not _POLICY_HOST.fullmatch(item):
                raise ConfigError(f"{place}: {item!r} is no host; write goproxy.corp.example, without scheme and port")
    return Policy(**fields)


def _suppressions(text: str, tables: Any) -> tuple[Suppression, ...]:
    place = f"line {_line(text, 'suppress')}: suppress"
    if not isinstance(tables, list):
        raise ConfigError(f"{place} is a list: write [[suppress]]")
    found = []
    for number, table in enumerate(tables, 1):
        here = f"{place} number {number}"
        entry = _table(here, table, _SUPPRESS_KEYS)
        for key in _SUPPRESS_KEYS:
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise ConfigError(f"{here} needs a {key}")
        found.append(Suppression(finding=entry["finding"], reason=entry["reason"]))
    return tuple(found)


def _table(place: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a table")
    for key in value:
        if key not in keys:
            raise ConfigError(f"{place}: {key} is unknown; the keys are {', '.join(keys)}")
    return value


def _strings(place: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ConfigError(f"{place} must be a list of strings")
    return tuple(value)


def _line(text: str, key: str, start: int = 0) -> int:
    """Line of the first key or table of this name at or behind `start`, from 1."""
    return text.count("\n", 0, _offset(text, key, start)) + 1


def _offset(text: str, key: str, start: int = 0) -> int:
    pattern = re.compile(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*[.=\]]", re.MULTILINE)
    found = pattern.search(text, start)
    return found.start() if found else start

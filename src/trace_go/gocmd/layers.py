"""Where a setting of go comes from: the environment, the file of `go env -w`, the toolchain's go.env, a default.

Source: Getenv and readEnvFile of cmd/go/internal/cfg/cfg.go. An empty variable counts as absent in the environment, not
in a file.
"""

from msgspec import Struct

from trace_go.model.go import GoAccount

_FROM_GOPRIVATE = ("GONOPROXY", "GONOSUMDB")
_FILES = {"user": "`go env -w` ({})", "toolchain": "the toolchain's {}", "unused": "`go env -w` ({})"}


class Setting(Struct, frozen=True, kw_only=True):
    name: str
    value: str
    role: str
    """`environment`, `user`, `toolchain`, `default`; `unused` for a file that GOENV keeps go from reading"""
    place: str
    """as a reader knows it: `the environment`, `` `go env -w` (/home/me/.config/go/env)``"""

    @property
    def text(self) -> str:
        return f"{self.name}={self.value} from {self.place}"


def layers(account: GoAccount, name: str) -> tuple[Setting, ...]:
    """What the layers say of a variable of go, the one in effect first."""
    found = []
    if value := account.process_env.get(name):
        found.append(Setting(name=name, value=value, role="environment", place="the environment"))
    found += [item for role in ("user", "toolchain") for item in _of_files(account, name, role)]
    if not found and name in _FROM_GOPRIVATE and (private := in_effect(account, "GOPRIVATE")):
        found.append(Setting(name=name, value=private.value, role="default", place=f"GOPRIVATE in {private.place}"))
    elif not found and (value := account.go_env.get(name)):
        found.append(Setting(name=name, value=value, role="default", place="go's defaults"))
    return tuple(found)


def in_effect(account: GoAccount, name: str) -> Setting | None:
    return next(iter(layers(account, name)), None)


def unused(account: GoAccount, name: str) -> Setting | None:
    """What the usual file of `go env -w` says while GOENV names another."""
    return next(iter(_of_files(account, name, "unused")), None)


def _of_files(account: GoAccount, name: str, role: str) -> list[Setting]:
    return [
        Setting(name=name, value=item.values[name], role=role, place=_FILES[role].format(item.path))
        for item in account.settings_files
        if item.role == role and name in item.values
    ]

"""What a site allows: the [policy] of trace-go.toml. Whatever differs from it is a finding."""

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True, gc=False):
    """None: the site says nothing of it; empty: nothing of the kind is allowed."""

    mirrors: tuple[str, ...] | None = None
    """host names, `*.example.com`, and `direct` for modules from their origins"""
    forward_proxies: tuple[str, ...] | None = None
    """host names or addresses"""
    interception_cas: tuple[str, ...] | None = None
    """issuer names, or interceptors as reports name them"""
    private_modules: tuple[str, ...] = ()
    """patterns as in GOPRIVATE"""
    minimum_tls: str | None = None
    """`1.2` or `1.3`"""


def permits(patterns: tuple[str, ...], *names: str | None) -> bool:
    """Whether one of a party's names is among host patterns; `*.` stands for every name below.

    >>> permits(("*.corp.example",), "a.corp.example"), permits(("*.corp.example",), "corp.example", None)
    (True, False)
    """
    wanted = [pattern.lower() for pattern in patterns]
    return any(
        name.lower() == pattern or (pattern.startswith("*.") and name.lower().endswith(pattern[1:]))
        for name in names
        if name
        for pattern in wanted
    )

"""Attacker text made safe at the sink: names, headers and certificate fields may hold anything."""

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: terminal escapes
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, and direction overrides
    "\ud800-\udfff"  # lone surrogates, which no encoder takes
    "\U000e0000-\U000e007f]"  # tags
)


def clean(text: str, limit: int = 300) -> str:
    """`text` cut to `limit` characters, with whatever could steer a terminal or hide shown as `\\xNN` or `\\uNNNN`.

    >>> clean("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def json_safe(text: str) -> str:
    """JSON text with the same characters as `\\uNNNN`, so that it may be shown on a terminal; line ends stay."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))

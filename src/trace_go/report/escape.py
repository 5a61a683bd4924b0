"""Attacker text made safe at the sink: names, headers and certificate fields may hold anything."""

import re
from typing import TextIO

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: terminal escapes
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"  # nothing to see
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff"  # the same, and direction overrides
    "\ud800-\udfff"  # lone surrogates, which no encoder takes
    "\U000e0000-\U000e0fff]"  # tags, variation selectors
)
_NO_ASCII = re.compile("[^\x00-\x7f]")
_BREAK = re.compile(r"[\n\t]+")
_PLAIN = str.maketrans(
    {"…": "...", "×": "x", "≤": "<=", "→": "->", "“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-"}
    | {"●": "o", "✗": "x", "│": "|"}
)
"""characters of our own texts for encodings that lack them"""


def clean(text: str, limit: int = 300) -> str:
    """`text` with whatever could steer a terminal or hide shown as `\\xNN` or `\\uNNNN`; of that, `limit` characters.

    >>> clean("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    shown = _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def prose(text: str, limit: int = 300) -> str:
    """As `clean`, for sentences and quoted messages: line ends and tabs become a space."""
    return clean(" ".join(part.strip(" ") for part in _BREAK.split(text)).strip(" "), limit)


def fitting(text: str, encoding: str) -> str:
    """`text` with what the encoding lacks in plain characters, or as `\\uNNNN`."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def utf8(text: str) -> str:
    """`text` without lone surrogates, which stand for bytes of file names and variables that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_safe(text: str) -> str:
    """JSON text with the same characters as `\\uNNNN`, so that it may be shown on a terminal; line ends stay."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), text)


def json_ascii(text: str) -> str:
    """JSON text in ASCII, for encodings that lack the rest."""
    return _NO_ASCII.sub(lambda match: _json_escape(match[0]), text)


def is_utf(out: TextIO) -> bool:
    """Whether everything can be written to `out`; a stream without an encoding takes text as it is."""
    return (out.encoding or "utf-8").lower().startswith("utf")


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))

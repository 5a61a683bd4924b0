"""The JSON reporter, and the JSON Schema generated from its types."""

from itertools import islice
from typing import Any, TextIO

import msgspec

from trace_go.model.report import Report
from trace_go.report.escape import is_utf, json_ascii, json_safe, utf8
from trace_go.report.v1.report import LONG_LISTS, SCHEMA, of_report
from trace_go.report.v1.report import Report as Told

SOME_ITEMS = 512
"""of a long list made JSON at once: a flow takes some kilobytes on the way"""


class JsonReporter:
    """One JSON object per report, UTF-8, schema `trace-go/1`. Safe to show on a terminal."""

    def render(self, report: Report, out: TextIO) -> None:
        told = of_report(report, long_lists=False)
        before = "{"
        for name in told.__struct_fields__:
            out.write(f'{before}\n "{name}": ')
            before = ","
            if name not in LONG_LISTS:
                out.write(_text(getattr(told, name), out).replace("\n", "\n "))
                continue
            items, begun = LONG_LISTS[name](report.case), False
            while some := list(islice(items, SOME_ITEMS)):
                inner = _text(some, out).removeprefix("[").removesuffix("\n]")
                out.write(("," if begun else "[") + inner.replace("\n", "\n "))
                begun = True
            out.write("\n ]" if begun else "[]")
        out.write("\n}\n")


def _text(value: Any, out: TextIO) -> str:
    """Indented JSON; strings hold no line breaks, so that all of it can be indented further."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(_utf8(msgspec.to_builtins(value)))
    text = json_safe(msgspec.json.format(encoded, indent=1).decode())
    return text if is_utf(out) else json_ascii(text)


def _utf8(value: Any) -> Any:
    """JSON values with every string as `utf8` has it."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {utf8(key): _utf8(item) for key, item in value.items()}
    return [_utf8(item) for item in value] if isinstance(value, list) else value


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the reports."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        **msgspec.json.schema(Told),
    }

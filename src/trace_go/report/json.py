"""The JSON reporter, and the JSON Schema generated from its types."""

from typing import Any, TextIO

import msgspec

from trace_go.model.report import Report
from trace_go.report import v1
from trace_go.report.escape import json_safe


class JsonReporter:
    """One JSON object per report, UTF-8, schema `trace-go/1`. Safe to show on a terminal."""

    def render(self, report: Report, out: TextIO) -> None:
        text = msgspec.json.format(msgspec.json.encode(v1.of_report(report)), indent=1).decode()
        out.write(json_safe(text) + "\n")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the reports."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": v1.SCHEMA,
        **msgspec.json.schema(v1.Report),
    }

"""Writes docs/trace-go-1.schema.json, the JSON Schema of the reports; a test says when it is out of step."""

import json
from pathlib import Path

from trace_go.report.json import schema

FILE = Path(__file__).resolve().parents[1] / "docs" / "trace-go-1.schema.json"

if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")

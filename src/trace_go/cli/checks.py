"""`trace-go checks`: every check with its metadata, for people and for tools."""

import argparse

import msgspec

from trace_go.checks.discovery import discover


def main(arguments: argparse.Namespace) -> int:
    rows = [
        {
            "id": check.id,
            "group": check.meta.group,
            "severity": check.meta.severity.value,
            "audience": check.meta.audience.value,
            "title": check.title,
            "page": check.sections,
        }
        for check in discover()
    ]
    if arguments.format == "json":
        print(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
        return 0
    width = max(len(row["id"]) for row in rows)
    for row in rows:
        print(f"{row['id']:<{width}}  {row['severity']:<8} {row['audience']:<10} {row['title']}")
    return 0

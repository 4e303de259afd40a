"""Writes docs/data_dictionary.md from the YAML beside gold's models; with --check, says whether it is current.

A name stands for one quantity: the same name with two types is refused.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

PROJECT = Path(__file__).parent
DICTIONARY = PROJECT.parent / "docs" / "data_dictionary.md"
HEADER = """# Data dictionary

Every column of the gold layer: a name means the same thing, in the same type, wherever it stands. Written by
`python dbt_project/data_dictionary.py` from the YAML beside the models; a test holds it current.

| column | type | means | in |
|---|---|---|---|
"""


@dataclass
class Entry:
    """One column name: its type, what it means where it first stands, and every table that has it."""

    data_type: str
    description: str
    tables: list[str] = field(default_factory=list)


def read_entries() -> dict[str, Entry]:
    """The columns of gold by name.

    Raises:
        SystemExit: a name has two types.
    """
    entries: dict[str, Entry] = {}
    for path in sorted((PROJECT / "models" / "gold").rglob("*.yml"), key=lambda path: path.name):
        for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
            for column in model["columns"]:
                entry = entries.setdefault(column["name"], Entry(column["data_type"], column["description"].strip()))
                if entry.data_type != column["data_type"]:
                    raise SystemExit(f"{column['name']} is {entry.data_type} in {entry.tables}, not in {model['name']}")
                entry.tables.append(model["name"])
    return entries


def render(entries: dict[str, Entry]) -> str:
    """The dictionary as Markdown, by name."""
    rows = (
        f"| `{name}` | {entry.data_type} | {' '.join(entry.description.split()).replace('|', chr(92) + '|')} "
        f"| {', '.join(f'`{table}`' for table in entry.tables)} |\n"
        for name, entry in sorted(entries.items())
    )
    return HEADER + "".join(rows)


def main() -> None:
    """Write the dictionary, or only compare it."""
    text = render(read_entries())
    if "--check" not in sys.argv[1:]:
        DICTIONARY.write_text(text, "utf-8")
    elif not DICTIONARY.exists() or DICTIONARY.read_text("utf-8") != text:
        raise SystemExit("docs/data_dictionary.md is not current: run python dbt_project/data_dictionary.py")


if __name__ == "__main__":
    main()

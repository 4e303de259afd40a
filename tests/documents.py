"""The repository's documents, for the tests that hold them to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {"lake", "node_modules", "target"}
FENCED = re.compile(r"^ *```[a-z]*\n(.*?)^ *```", re.M | re.S)


def documents() -> Iterator[Path]:
    """Every Markdown file of the repository, without hidden folders, lakes and what tools leave behind."""
    for path in sorted(ROOT.rglob("*.md")):
        folders = path.relative_to(ROOT).parts[:-1]
        if not any(name.startswith(".") or name in NOT_OURS or name.endswith(".egg-info") for name in folders):
            yield path


def code_blocks(text: str) -> list[str]:
    """The fenced blocks of a document."""
    return FENCED.findall(text)


def code_of(text: str) -> list[str]:
    """All code of a document: fenced blocks, then what stands between backticks in a line."""
    return [*code_blocks(text), *re.findall(r"`([^`\n]+)`", FENCED.sub("", text))]

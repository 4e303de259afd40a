"""Makes a feed of a dataset: its name, its words, its schedule, and the text of its file.

Pure: nothing is asked of the portal, and nothing is written.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable
from urllib.parse import quote

import yaml

from catalog.feed import SNAPSHOTS, Feed, Source
from catalog.names import to_snake
from ingestion.listing import Listed
from ingestion.portal import Resource

LONGEST_NAME = 40  # leaves 21 characters to the table in <feed>__<table>, whose limit is 63
LONGEST_DESCRIPTION = 300
SHORTEST_SENTENCE = 40  # "M. X." and "n°" end no sentence
_DIGITS = (6, 12, 24)  # of a dataset's hash, as many as it takes

# The portal's words of today and of before, see udata/core/dataset/constants.py; any other is @weekly.
_FREQUENCIES = {
    "@daily": """1min 5min 10min 15min 30min cont update_cont continuous realtime hourly bihourly trihourly
        fourtimesaday threetimesaday semidaily daily daily_2 fourtimesaweek threetimesaweek semiweekly weekly_2
        weekly_3 weekly_5""",
    "@weekly": "weekly biweekly fortnighly threetimesamonth semimonthly monthly_2 monthly_3",
    "@monthly": "monthly bimonthly quarterly threetimesayear semiannual biannual annual_2 annual_3",
    "@yearly": "annual biennial triennial quadrennial quinquennial decennial bidecennial tridecennial never",
}
_SCHEDULES = {word: schedule for schedule, words in _FREQUENCIES.items() for word in words.split()}

_DOCUMENTS = re.compile(
    r"pdf|html?|docx?|odt|rtf|md|pptx?|odp|png|jpe?g|gif|svg|webp|bmp|mp[34]|avi|mov|epub|url|web|www|page|api|w[mf]s|wmts"
)
_DATA_FILE = re.compile(
    r"\.(csv|tsv|tab|txt|dat|json|geojson|ndjson|jsonl|xml|xlsx?|ods|parquet|shp)(\.\w{2,4})?$|\.zip$", re.I
)

_TAGS = re.compile(r"<!--.*?-->|</?[a-z][^<>]*>", re.I | re.S)
_LINKS = re.compile(r"!?\[([^\]]*)\]\([^()\s]*(?:\s[^()]*)?\)")
_BLOCKS = re.compile(r"\n\s*\n|\n(?=\s*(?:#+\s|[-*+>]\s|\d+[.)]\s))")
_HEADING = re.compile(r"^\s*#+\s")
_LEADING_MARK = re.compile(r"^\s*(?:#+|[-*+>]|\d+[.)])\s+")
_EMPHASIS = re.compile(r"\*+|`+|~~|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)")
_SENTENCE = re.compile(rf"(.{{{SHORTEST_SENTENCE - 1},}}?[.!?…])\s+(?=[^\W\d_a-z]|[\d«\"(])")


def feed_name(slug: str, dataset_id: str, is_taken: Callable[[str], bool]) -> str:
    """The name a dataset's feed gets, at most 40 characters: its slug's, with part of its id's hash when need be.

    >>> feed_name("base-sirene", "5b7ffc618b4c4169d30727e0", lambda name: False)
    'base_sirene'
    >>> feed_name("base-sirene", "5b7ffc618b4c4169d30727e0", {"base_sirene"}.__contains__)
    'base_sirene_89a60f'
    """
    name = to_snake(slug) or "dataset"
    if len(name) <= LONGEST_NAME and name != SNAPSHOTS and not is_taken(name):
        return name
    digest = hashlib.sha256(dataset_id.encode()).hexdigest()
    names = [f"{name[: LONGEST_NAME - 1 - digits].rstrip('_')}_{digest[:digits]}" for digits in _DIGITS]
    return next((one for one in names if not is_taken(one)), names[-1])


def schedule_of(frequency: str) -> str:
    """How often to look at a dataset that says how often it changes; the next longer of the usual four."""
    return _SCHEDULES.get(frequency.strip().lower(), "@weekly")


def one_line(text: str) -> str:
    """A text on one line, without what does not show."""
    return " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).split())


def first_sentence(markdown: str) -> str:
    """The first sentence of a Markdown or HTML description, as plain text of at most 300 characters."""
    text = _LINKS.sub(r"\1", html.unescape(_TAGS.sub(" ", markdown)))
    blocks = [block for block in _BLOCKS.split(text) if block.strip()]
    block = next((block for block in blocks if not _HEADING.match(block)), blocks[0] if blocks else "")
    plain = one_line(_EMPHASIS.sub("", _LEADING_MARK.sub("", block)))
    found = _SENTENCE.match(plain)
    sentence = found[1] if found else plain
    if len(sentence) <= LONGEST_DESCRIPTION:
        return sentence
    return sentence[: LONGEST_DESCRIPTION - 1].rpartition(" ")[0].rstrip(" ,;:") + "…"


def is_document(resource: Resource) -> bool:
    """Whether a resource is plainly no data: documentation, a page, a picture, a service; its file name wins."""
    if resource.metadata.get("type") == "documentation":
        return True
    if _DATA_FILE.search(resource.file_name):
        return False
    kind = resource.format or resource.file_name.rpartition(".")[2]
    return _DOCUMENTS.fullmatch(kind.strip(". ").lower()) is not None


def make_feed(listed: Listed, name: str, leave_to: tuple[str, ...] = ()) -> Feed:
    """The feed that takes every table of a dataset, but for those other feeds take."""
    dataset = listed.dataset
    title = one_line(dataset.title) or one_line(dataset.slug) or dataset.id
    return Feed(
        feed=name,
        title=title,
        description=first_sentence(listed.text("description")) or title,
        owner=one_line(listed.owner or "") or "unknown",
        license=one_line(dataset.license or "") or "notspecified",
        domain=name,
        schedule=schedule_of(listed.text("frequency")),
        source=Source(dataset=dataset.id, leave_to=list(leave_to)),
        tables="auto",
    )


def feed_text(feed: Feed, slug: str, portal_url: str) -> str:
    """The file of a feed made of a dataset, with its comments."""
    words = feed.model_dump(include={"feed", "title", "description", "owner", "license", "domain", "schedule"})
    lines = [
        f"# Written by odh from {portal_url.rstrip('/')}/datasets/{quote(slug, safe='')}/",
        "# It is yours to change: odh writes it once, never over it. 'odh feeds validate' checks it, docs/feeds.md",
        "# explains every field, 'odh feeds disable' switches it off.",
        _yaml(words),
        "source:",
        f"  {_yaml({'dataset': feed.source.dataset})}  # {one_line(slug)}; the id is the stable one",
    ]
    if feed.source.leave_to:
        lines.append(f"  leave_to: [{', '.join(feed.source.leave_to)}]  # they take the dataset's other files")
    lines += ["tables: auto  # one of each file, archive member and sheet that holds a table", "enabled: true", ""]
    return "\n".join(lines)


def _yaml(value: dict[str, str | None]) -> str:
    text: str = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=110)
    return text.rstrip("\n")

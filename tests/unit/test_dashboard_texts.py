"""The dashboard says everything in both languages, and nothing it has no words for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from string import Formatter

import pytest
import yaml

from catalog.settings import REPOSITORY
from dashboards.texts import LANGUAGES, Texts, catalogue

SOURCES = list((REPOSITORY / "dashboards").rglob("*.py"))
CODE = "\n".join(path.read_text("utf-8") for path in SOURCES)
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ENGLISH, FRENCH = Texts("en"), Texts("fr")


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", catalogue())
def test_a_text_is_there_in_every_language_and_fills_in_the_same(key: str) -> None:
    told = catalogue()[key]
    assert set(told) == set(LANGUAGES)
    assert all(text.strip() for text in told.values())
    assert names(told["en"]) == names(told["fr"])


def test_no_text_is_written_twice() -> None:
    text = (REPOSITORY / "dashboards" / "texts.yml").read_text("utf-8")
    assert len(re.findall(r"^\S+:$", text, re.M)) == len(yaml.safe_load(text))


def test_every_text_the_code_names_exists_and_every_text_is_used() -> None:
    literal = set(re.findall(r"texts(?:\.words)?\(\s*\"([a-z_.]+)\"", CODE))
    assert literal - set(catalogue()) == set()
    begun = {found.split("{")[0] for found in re.findall(r"f[\"']([a-z_]+\.[a-z_]*\{)", CODE)}
    quoted = set(re.findall(r"\"([a-z0-9_.]+)\"", CODE))
    unused = {
        key
        for key in catalogue()
        if key not in literal | quoted and not any(key.startswith(one) for one in begun) and not key.startswith("word.")
    }
    assert unused == set()


def test_the_pages_hold_no_words_of_their_own() -> None:
    shown = re.compile(
        r"st\.(?:title|subheader|info|success|warning|error|caption|markdown|button|write)\(\s*f?[\"']([^\"']+)"
    )
    said = {found for path in SOURCES for found in shown.findall(path.read_text("utf-8"))}
    assert {text for text in said if re.search(r"[A-Za-z]{3}", re.sub(r"\{[^}]*\}?", "", text))} == set()


@pytest.mark.parametrize(
    ("told", "english", "french"),
    [
        (lambda t: t.number(1234567), "1,234,567", "1\u202f234\u202f567"),
        (lambda t: t.number(0.5, 1), "0.5", "0,5"),
        (lambda t: t.size(999), "999 B", "999 o"),
        (lambda t: t.size(1_500_000), "1.5 MB", "1,5 Mo"),
        (lambda t: t.size(None), "–", "–"),
        (lambda t: t.day("2026-08-01"), "1 August 2026", "1er août 2026"),
        (lambda t: t.moment("2026-11-29T06:05:00+00:00"), "29 November 2026, 06:05 UTC", "29 novembre 2026, 06:05 UTC"),
        (lambda t: t.duration(59.96), "60.0 s", "60,0 s"),
        (lambda t: t.duration(3725), "1 h 02 min", "1 h 02 min"),
        (lambda t: t.age("2026-11-29T10:00:00+00:00", NOW), "2 hours ago", "il y a 2 heures"),
        (lambda t: t.age("2026-11-28T10:00:00+00:00", NOW), "a day ago", "il y a un jour"),
        (lambda t: t.age("2026-11-30T10:00:00+00:00", NOW), "just now", "à l'instant"),
        (lambda t: t.age(None, NOW), "never", "jamais"),
    ],
)
def test_numbers_sizes_and_days_are_written_as_each_language_does(told, english: str, french: str) -> None:  # type: ignore[no-untyped-def]
    assert (told(ENGLISH), told(FRENCH)) == (english, french)


def test_a_language_says_months_in_its_own_words() -> None:
    assert FRENCH.locale["time"]["shortMonths"][1] == "févr."
    assert len(FRENCH.locale["time"]["months"]) == 12
    assert ENGLISH.locale == {}

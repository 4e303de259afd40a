"""What the dashboard says, in English and in French: one catalogue, and numbers and days as each language has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("texts.yml")
LANGUAGES = {"en": "English", "fr": "Français"}
MONTHS = {
    "en": [
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ],
    "fr": [
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ],
}
DAYS = {
    "en": ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
    "fr": ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
}
SHORT_MONTHS = {
    "en": [month[:3] for month in MONTHS["en"]],
    "fr": ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
}
UNITS = {"en": ("B", "kB", "MB", "GB", "TB"), "fr": ("o", "ko", "Mo", "Go", "To")}
THIN_SPACE = "\u202f"


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every text by key and language."""
    found: Mapping[str, Mapping[str, str]] = yaml.safe_load(FILE.read_text("utf-8"))
    return found


@dataclass(frozen=True)
class Texts:
    """The texts of one language."""

    language: str

    def __call__(self, key: str, **values: Any) -> str:
        """One text, with numbers written as the language does.

        Raises:
            KeyError: there is no such text.
        """
        told = {name: self.number(value) if isinstance(value, int) else value for name, value in values.items()}
        return catalogue()[key][self.language].format(**told)

    def known(self, key: str, given: str) -> str:
        """The text of a key, or what was given where nobody wrote one."""
        return self(key) if key in catalogue() else given

    def words(self, title: str, *names: str) -> dict[str, str]:
        """What a chart says: its title, and words by their names."""
        return {"title": self(title), **{name: self(f"word.{name}") for name in names}}

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number with its thousands apart."""
        if value is None:
            return "–"
        text = f"{value:,.{digits}f}"
        return text.replace(",", THIN_SPACE).replace(".", ",") if self.language == "fr" else text

    def size(self, value: float | None) -> str:
        """A number of bytes."""
        if value is None:
            return "–"
        amount, units = float(value), UNITS[self.language]
        for unit in units[:-1]:
            if amount < 1000:
                return f"{self.number(amount, 0 if unit == units[0] else 1)} {unit}"
            amount /= 1000
        return f"{self.number(amount, 1)} {units[-1]}"

    def day(self, value: str | date | None) -> str:
        """A day in words."""
        if value is None:
            return "–"
        day = date.fromisoformat(value[:10]) if isinstance(value, str) else value
        month = MONTHS[self.language][day.month - 1]
        first = "1er" if self.language == "fr" and day.day == 1 else str(day.day)
        return f"{first} {month} {day.year}"

    def moment(self, value: str | None) -> str:
        """A moment, in UTC."""
        if value is None:
            return "–"
        moment = datetime.fromisoformat(value)
        return f"{self.day(moment.date())}, {moment:%H:%M} UTC"

    def short_day(self, value: str | None) -> str | None:
        """A day in few characters; nothing for none."""
        if value is None:
            return None
        day = date.fromisoformat(value)
        return f"{day.day}\u00a0{SHORT_MONTHS[self.language][day.month - 1]}\u00a0{day.year}"

    def short_moment(self, value: str) -> str:
        """A moment in few characters, in UTC."""
        return f"{self.short_day(value[:10])}, {datetime.fromisoformat(value):%H:%M}"

    def duration(self, seconds: float | None) -> str:
        """How long something took."""
        if seconds is None:
            return "–"
        if seconds < 60:
            return f"{self.number(seconds, 1)} s"
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"

    def age(self, value: str | None, now: datetime) -> str:
        """How long ago a moment was."""
        if value is None:
            return self("age.never")
        seconds = max(0.0, (now - datetime.fromisoformat(value)).total_seconds())
        for key, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
            if seconds >= length:
                count = int(seconds // length)
                return self(f"age.{key}" if count > 1 else f"age.{key[:-1]}", count=count)
        return self("age.now")

    @property
    def locale(self) -> dict[str, Any]:
        """What charts need to write numbers and days in the language; nothing for English, which they know."""
        if self.language == "en":
            return {}
        numbers = {"decimal": ",", "thousands": THIN_SPACE, "grouping": [3], "currency": ["", f"{THIN_SPACE}€"]}
        times = {
            "dateTime": "%A %e %B %Y, %X",
            "date": "%d/%m/%Y",
            "time": "%H:%M:%S",
            "periods": ["", ""],
            "days": DAYS["fr"],
            "shortDays": [day[:3] + "." for day in DAYS["fr"]],
            "months": MONTHS["fr"],
            "shortMonths": SHORT_MONTHS["fr"],
        }
        return {"number": numbers, "time": times}

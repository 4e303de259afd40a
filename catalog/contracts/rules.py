"""The rules by which the evidence on one column makes its type; docs/types.md tells them to people."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.contracts.evidence import TEXT, Evidence
from catalog.contracts.headers import says_boolean, says_code, says_type
from catalog.contracts.types import TYPES, LogicalType

LEAST_SHARE = 0.99  # of the values, to make a column's type in spite of the rest
LEAST_FITTING = 100  # values, for the same
RARE_SHARE = 0.001  # of the values of a number may begin by 0, and be rejects
MANY = 20  # different values
FIXED_WIDTH = 8  # digits: numbers that all have as many, or more, name things
NO_VALUE = "No value so far."
ONE_VALUE = "One value only so far."
MIXED_DATES = "Some days are written day first, others month first: read day first where that can be."
PARTNERS = {
    "longitude": "latitude",
    "latitude": "longitude",
    "lambert93_x": "lambert93_y",
    "lambert93_y": "lambert93_x",
}
_CODES = tuple(name for name, type_ in TYPES.items() if type_.words and type_.stored == "varchar")
_TRUTHS = ({"oui", "non"}, {"vrai", "faux"}, {"true", "false"}, {"yes", "no"}, {"o", "n"}, {"y", "n"}, {"t", "f"})
_MIXED = {"date": ("date_month_first", "any_date"), "timestamp": ("timestamp_month_first", "any_timestamp")}


@dataclass(frozen=True, slots=True)
class Decision:
    """A logical type, and what a person should know of the choice."""

    type: str
    note: str | None = None


def most_fit(fitting: int, values: int) -> bool:
    """Whether so many values fit that the others may be rejects."""
    return fitting >= LEAST_FITTING and fitting >= LEAST_SHARE * values


def decide_type(header: str, evidence: Evidence, pairs: set[str]) -> Decision:
    """The strictest type all values fit, else the strictest that nearly all fit, else text."""
    if not evidence.values:
        return Decision(TEXT, NO_VALUE)
    shown = [type_ for type_ in TYPES.values() if type_.name != TEXT and _is_shown(type_, header, evidence, pairs)]
    for type_ in shown:
        if evidence.fits.get(type_.name) == evidence.values:
            return Decision(type_.name)
    for type_ in shown:
        if fits(type_, evidence):
            return Decision(type_.name)
    for name, (other, either) in _MIXED.items():
        most = max(evidence.fits.get(name, 0), evidence.fits.get(other, 0))
        both = evidence.signals.get(either, 0)
        if both > most > 0 and both >= LEAST_SHARE * evidence.values:
            return Decision(name, MIXED_DATES)
    return Decision(TEXT, ONE_VALUE if evidence.distinct == 1 else None)


def _is_shown(type_: LogicalType, header: str, evidence: Evidence, pairs: set[str]) -> bool:
    """Whether a column is of a type, if its values fit."""
    if not evidence.fits.get(type_.name):
        return False
    if type_.name == "boolean":
        return _is_boolean(header, evidence)
    if type_.name in PARTNERS and PARTNERS[type_.name] not in pairs:
        return False
    if type_.name.startswith("point_l") and not _is_order(type_.name, header, evidence):
        return False
    if type_.name == "decimal" and evidence.proofs.get("decimal_point_thousands"):
        return False
    if (
        type_.stored in ("bigint", "double")
        and type_.unit is None
        and type_.words is None
        and _is_code(header, evidence)
    ):
        return False
    if type_.words is not None and says_type(header, type_):
        return True
    if type_.words is not None and type_.proof is None:
        return False
    if type_.proof is not None and not evidence.proofs.get(type_.name):
        return False
    needed = 1 if evidence.values >= LEAST_FITTING and type_.words is None else type_.least_distinct
    return evidence.distinct >= needed


def _is_boolean(header: str, evidence: Evidence) -> bool:
    """Whether both words of a pair are there, or 0 and 1 under a header that says so; digits may stand beside words."""
    values = {value.lower() for value in evidence.shown}
    words = values - {"0", "1"}
    if not values or any(len(value) > 5 for value in values):
        return False
    if not words:
        return says_boolean(header)
    if evidence.distinct == 1 and evidence.values < LEAST_FITTING:
        return False
    return any(words <= pair and (len(max(words, key=len)) > 1 or words == pair) for pair in _TRUTHS)


def _is_order(name: str, header: str, evidence: Evidence) -> bool:
    """Whether points are written in that order: as puts them in France, else as the header or brackets say."""
    lat_lon, lon_lat = evidence.signals.get("france_lat_lon", 0), evidence.signals.get("france_lon_lat", 0)
    is_bracketed = evidence.signals.get("brackets", 0) * 2 > evidence.values
    is_lon_lat = is_bracketed if lat_lon == lon_lat else lon_lat > lat_lon
    return is_lon_lat == (name == "point_lon_lat")


def _is_code(header: str, evidence: Evidence) -> bool:
    """Whether numbers name things: some begin by 0, all are as wide as an identifier, or the header says so."""
    if evidence.signals.get("leading_zeros", 0) > RARE_SHARE * evidence.values or says_code(header):
        return True
    width, most = evidence.signals.get("least_width", 0), evidence.signals.get("most_width", 0)
    if most > 1 and any(says_type(header, TYPES[name]) for name in _CODES):  # one digit is a flag or a rank
        return True
    is_fixed = width == most and evidence.signals.get("digits") == evidence.values
    return is_fixed and width >= FIXED_WIDTH and evidence.distinct >= MANY


def fits(type_: LogicalType, evidence: Evidence) -> bool:
    """Whether a column may be of a type: all its values read, or nearly all and the rest may be rejects.

    Letters among the digits of a number say that it is a code (`2A`, `1e5`), and hours after 24 that it is a duration:
    then all must read.
    """
    fitting = evidence.fits.get(type_.name, 0)
    if fitting == evidence.values:
        return True
    is_other = evidence.signals.get("code_like" if type_.is_number else "beyond_a_day", 0)
    return most_fit(fitting, evidence.values) and not (is_other and (type_.is_number or type_.name == "time"))

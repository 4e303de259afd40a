"""The logical types a column may have: how its text is read, stored and told, each in one entry of ``TYPES``.

They stand from the strictest to text, the order in which the evidence is tried. `docs/types.md` tells them to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LogicalType:
    """One logical type.

    ``read`` is a DuckDB expression over ``{}``, a quoted column of text; it gives NULL for a text that is no such
    value, and is made of the functions of ``catalog/functions.sql``. ``stored`` is the DuckDB type it gives.

    ``parts`` are columns that one text gives besides: the suffix of their name, and an expression over ``{}``.

    What the values cannot tell alone, the rest says: ``words`` is a regular expression over the words of the header
    (`code_commune` is `code commune`); ``proof`` an expression over ``{}`` that some value must satisfy where the
    header says nothing; ``least_distinct`` how many different values must then fit. A type with ``words`` and no
    ``proof`` is taken only where the header says so.
    """

    name: str
    read: str
    stored: str
    description: str
    unit: str | None = None
    parts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    words: str | None = None
    proof: str | None = None
    least_distinct: int = 2
    is_identifier: bool = False
    is_number: bool = False


_DATE_WORDS = r"\b(date|dates|jour|dt|day|heure|horodatage|timestamp|time|datetime|debut|fin|maj)\b|^d(at|eb|fin)"

_ALL = (
    LogicalType("geometry", "fr_geometry({})", "blob", "A geometry in WKB, written in hexadecimal; its bytes."),
    LogicalType(
        "point_wkt",
        "fr_point_wkt({})",
        "varchar",
        "A point in WKT, with its longitude and latitude in two more columns.",
        parts={"longitude": "fr_wkt_first({})", "latitude": "fr_wkt_second({})"},
    ),
    LogicalType(
        "point_lat_lon",
        "fr_point_lat_lon({})",
        "varchar",
        "A point, latitude first, with its longitude and latitude in two more columns.",
        parts={
            "longitude": "fr_pair_second(fr_point_lat_lon({}))",
            "latitude": "fr_pair_first(fr_point_lat_lon({}))",
        },
    ),
    LogicalType(
        "point_lon_lat",
        "fr_point_lon_lat({})",
        "varchar",
        "A point, longitude first, with its longitude and latitude in two more columns.",
        parts={
            "longitude": "fr_pair_first(fr_point_lon_lat({}))",
            "latitude": "fr_pair_second(fr_point_lon_lat({}))",
        },
    ),
    LogicalType("json", "fr_json({})", "varchar", "A JSON object or array, as text."),
    LogicalType(
        "siret",
        "fr_siret({})",
        "varchar",
        "SIRET of an establishment: 14 digits and their key.",
        words=r"siret",
        proof="true",
        least_distinct=8,
        is_identifier=True,
    ),
    LogicalType(
        "epci_code",
        "fr_epci_code({})",
        "varchar",
        "SIREN of an intercommunal body.",
        words=r"epci",
        is_identifier=True,
    ),
    LogicalType(
        "finess",
        "fr_finess({})",
        "varchar",
        "FINESS number of a health establishment.",
        words=r"finess",
        is_identifier=True,
    ),
    LogicalType(
        "siren",
        "fr_siren({})",
        "varchar",
        "SIREN of a legal unit: 9 digits and their key.",
        words=r"siren",
        proof="true",
        least_distinct=8,
        is_identifier=True,
    ),
    LogicalType(
        "uai",
        "fr_uai({})",
        "varchar",
        "UAI of a school: 7 digits and their letter.",
        words=r"\b(uai|rne)\b",
        proof="true",
        least_distinct=5,
        is_identifier=True,
    ),
    LogicalType(
        "rna",
        "fr_rna({})",
        "varchar",
        "RNA number of an association.",
        words=r"\b(rna|waldec)\b",
        proof="true",
        least_distinct=5,
        is_identifier=True,
    ),
    LogicalType(
        "naf",
        "fr_naf({})",
        "varchar",
        "NAF code (APE) of an activity, rev. 2.",
        words=r"\b(naf|ape|naf25)\b|activite principale",
        proof="contains({}, '.')",
        least_distinct=5,
    ),
    LogicalType(
        "phone",
        "fr_phone({})",
        "varchar",
        "French telephone number, as written.",
        words=r"\b(tel|telephone|phone|portable|mobile|fax)\d*\b",
        proof="true",
        least_distinct=20,
    ),
    LogicalType(
        "commune_code",
        "fr_commune_code({})",
        "varchar",
        "INSEE code of a commune.",
        words=r"insee|commune|\b(com|depcom|codgeo|codecom|codcom|arm|comparent|ville|cheflieu|chef lieu)\b",
        proof="regexp_matches({}, '2[AB]')",
        least_distinct=50,
    ),
    LogicalType(
        "postal_code",
        "fr_postal_code({})",
        "varchar",
        "Postal code.",
        words=r"\bcp\b|postal|postcode|\bcodepost",
    ),
    LogicalType(
        "departement_code",
        "fr_departement_code({})",
        "varchar",
        "Code of a département.",
        words=r"\b(dep|dept|dpt|departement|departements|coddep|codedep|coddpt)\b",
        proof="regexp_matches({}, '2[AB]')",
        least_distinct=80,
    ),
    LogicalType(
        "region_code", "fr_region_code({})", "varchar", "Code of a région.", words=r"\b(reg|region|codreg|codereg)\b"
    ),
    LogicalType(
        "boolean", "fr_boolean({})", "boolean", "True or false: oui, non, vrai, faux, true, false, o, n, 0, 1."
    ),
    LogicalType("date", "fr_date({})", "date", "A day, year first or day first, or in French words."),
    LogicalType("date_month_first", "fr_date_month_first({})", "date", "A day, month first as in the United States."),
    LogicalType(
        "date_two_digit_year",
        "fr_date_two_digit_year({})",
        "date",
        "A day, day first, its year of two digits: 69 to 99 in the 1900s, 00 to 68 in the 2000s.",
        words=_DATE_WORDS,
        proof="true",
        least_distinct=10,
    ),
    LogicalType(
        "date_compact",
        "fr_date_compact({})",
        "date",
        "A day as eight digits, year first.",
        words=_DATE_WORDS,
        proof="true",
        least_distinct=20,
    ),
    LogicalType("month", "fr_month({})", "date", "A month, as its first day."),
    LogicalType("timestamp_utc", "fr_timestamp_utc({})", "timestamp with time zone", "A moment, with its offset."),
    LogicalType(
        "timestamp", "fr_timestamp({})", "timestamp", "A day and a time, without zone; day first or year first."
    ),
    LogicalType("timestamp_month_first", "fr_timestamp_month_first({})", "timestamp", "A day and a time, month first."),
    LogicalType(
        "timestamp_compact",
        "fr_timestamp_compact({})",
        "timestamp",
        "A day and a time as twelve or fourteen digits, year first.",
        words=_DATE_WORDS,
        proof="true",
        least_distinct=20,
    ),
    LogicalType("time", "fr_time({})", "time", "A time of day."),
    LogicalType("percentage", "fr_percentage({})", "double", "A percentage: 12.5 for 12,5 %.", "%", is_number=True),
    LogicalType("money", "fr_money({})", "decimal(18,4)", "An amount in euros.", "€", is_number=True),
    LogicalType(
        "money_thousands", "fr_money_thousands({})", "decimal(18,4)", "Thousands of euros.", "k€", is_number=True
    ),
    LogicalType("money_millions", "fr_money_millions({})", "decimal(18,4)", "Millions of euros.", "M€", is_number=True),
    LogicalType(
        "longitude",
        "fr_longitude({})",
        "double",
        "Degrees east (WGS84).",
        words=r"\b(x?lon|x?long|lng)\b|longitude",
        is_number=True,
    ),
    LogicalType(
        "latitude",
        "fr_latitude({})",
        "double",
        "Degrees north (WGS84).",
        words=r"\b(y?lat)\b|latitude",
        is_number=True,
    ),
    LogicalType(
        "lambert93_x",
        "fr_lambert93_x({})",
        "double",
        "Metres east in Lambert 93; fr_lambert93_longitude(x, y) gives degrees.",
        words=r"\b(x|coord(onnee)?s? x|xl93|x93|xlamb\w*|xcoord|coordx)\b",
        is_number=True,
    ),
    LogicalType(
        "lambert93_y",
        "fr_lambert93_y({})",
        "double",
        "Metres north in Lambert 93; fr_lambert93_latitude(x, y) gives degrees.",
        words=r"\b(y|coord(onnee)?s? y|yl93|y93|ylamb\w*|ycoord|coordy)\b",
        is_number=True,
    ),
    LogicalType("integer", "fr_integer({})", "bigint", "A whole number.", is_number=True),
    LogicalType(
        "decimal_point_thousands",
        "fr_decimal_point_thousands({})",
        "double",
        "A number whose thousands a point groups: 1.234 is 1234.",
        proof=r"regexp_matches({}, '[0-9]\.[0-9]{3}[.,]')",
        is_number=True,
    ),
    LogicalType(
        "decimal_comma_thousands",
        "fr_decimal_comma_thousands({})",
        "double",
        "A number whose thousands a comma groups: 1,234 is 1234.",
        proof=r"regexp_matches({}, '[0-9],[0-9]{3}[.,]')",
        is_number=True,
    ),
    LogicalType("decimal", "fr_decimal({})", "double", "A number with a decimal comma or point.", is_number=True),
    LogicalType("text", "fr_text({})", "varchar", "Text, without its outer spaces."),
)

TYPES: dict[str, LogicalType] = {one.name: one for one in _ALL}

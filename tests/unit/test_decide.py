"""What a column is decided to be, on small tables that each show one rule of docs/types.md."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pytest

from catalog.contracts.contract import ColumnContract
from catalog.contracts.decide import Proposal, decide_columns
from catalog.contracts.evidence import gather
from catalog.contracts.headers import said_unit, says_boolean, says_code, says_key, words_of
from catalog.contracts.rules import MIXED_DATES, NO_VALUE, ONE_VALUE
from catalog.contracts.types import TYPES

DAYS = [date(2023, 1, 1) + timedelta(days) for days in range(365)]


def proposed(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, Sequence[str | None]],
    known: Sequence[ColumnContract] = (),
    headers: Mapping[str, str] | None = None,
    *,
    may_retype: bool = True,
) -> Proposal:
    table = pa.table({name: pa.array(list(texts), pa.string()) for name, texts in columns.items()})
    connection.register("incoming", table)
    named = headers or {name: name for name in columns}
    try:
        return decide_columns(connection, '"incoming"', named, known, may_retype=may_retype)
    finally:
        connection.unregister("incoming")


def decided(connection: duckdb.DuckDBPyConnection, header: str, texts: Sequence[str | None]) -> ColumnContract:
    return proposed(connection, {"c": texts}, headers={"c": header}).columns[0]


def luhn(length: int, head: str = "") -> list[str]:
    """Twenty-five numbers with their key."""
    found = []
    for seed in range(25):
        body = head + str(random.Random(seed).randrange(10 ** (length - 2 - len(head)), 10 ** (length - 1 - len(head))))
        doubled = [int(d) * 2 // 10 + int(d) * 2 % 10 if i % 2 == 0 else int(d) for i, d in enumerate(reversed(body))]
        found.append(body + str(-sum(doubled) % 10))
    return found


DEPARTEMENTS = [f"{n:02}" for n in range(1, 96) if n != 20] + ["2A", "2B", "971", "974"]
NUMBERS = [str(n * n) for n in range(150)]
TYPED = {
    "integers": ("effectif", ["12", "1 234", "-5"], "integer"),
    "whole and decimal": ("taux", ["12", "1,5"], "decimal"),
    "decimals of three digits are no thousands": ("prix", ["1.234", "2.500"], "decimal"),
    "points between thousands, once shown": ("prix", ["1.234", "1.234,50"], "decimal_point_thousands"),
    "commas between thousands, once shown": ("price", ["1,234", "1,234.50"], "decimal_comma_thousands"),
    "percentages": ("part", ["12,5 %", "3%"], "percentage"),
    "amounts": ("montant", ["12,50 €", "1 234 €"], "money"),
    "amounts of two units": ("montant", ["12,50 €", "12 k€"], "text"),
    "leading zeros": ("valeur", ["01", "02", "13"], "text"),
    "an exponent is a code": ("lot", ["1e5", "2e5", "12"], "text"),
    "a letter among many numbers is a code": ("type", [*NUMBERS, "2A"], "text"),
    "numbers under a header of codes": ("code_produit", ["12", "345"], "text"),
    "numbers as wide as identifiers": ("acc", [str(202300000000 + n) for n in range(30)], "text"),
    "beyond what a double holds": ("n", ["99999999999999999999", "12"], "text"),
    "beyond it by one digit": ("n", ["1234567890123456,5", "12"], "text"),
    "oui and non": ("c", ["oui", "Non", "OUI"], "boolean"),
    "O and N": ("c", ["O", "N"], "boolean"),
    "O alone": ("c", ["O", "O", "O"], "text"),
    "points of the compass": ("vent", ["N", "O", "S", "E"], "text"),
    "0 and 1": ("c", ["0", "1", "1"], "integer"),
    "0 and 1 under a header that says so": ("est_actif", ["0", "1", "1"], "boolean"),
    "0, 1, true and false": ("c", ["0", "1", "true", "false"], "boolean"),
    "T and N": ("c", ["T", "N"], "text"),
    "day first": ("c", ["01/02/2024", "13/02/2024"], "date"),
    "day first where nothing tells": ("c", ["01/02/2024", "03/04/2024"], "date"),
    "month first, proved": ("c", ["01/02/2024", "02/13/2024"], "date_month_first"),
    "years first and days first": ("c", ["2024-02-01", "1/2/2024", "1er mars 2024"], "date"),
    "eight digits under a header of days": ("date", ["20240201", "20240301"], "date_compact"),
    "eight digits": ("c", ["20240201", "20240301"], "integer"),
    "eight digits, all days": ("c", [day.strftime("%Y%m%d") for day in DAYS], "date_compact"),
    "two digits of the year": ("date_maj", ["01/02/24", "13/02/24"], "date_two_digit_year"),
    "months": ("periode", ["2024-01", "2024-02"], "month"),
    "days and times": ("c", ["01/02/2024 13:45", "13/02/2024 07:00"], "timestamp"),
    "times that are all midnight": ("c", ["2024-02-01T00:00:00", "2024-02-13T00:00:00"], "date"),
    "moments": ("c", ["2024-02-01T13:45:00Z", "2024-02-01T13:45:00+02:00"], "timestamp_utc"),
    "times": ("c", ["13:45", "13h50"], "time"),
    "hours after 24": ("c", [*(f"{h:02}:{m:02}:00" for h in range(24) for m in range(9)), "25:10:00"], "text"),
    "json": ("c", ['{"a": 1}', "[]"], "json"),
    "points in France, latitude first": ("c", ["48.85, 2.35", "43.60, 1.44"], "point_lat_lon"),
    "points in brackets that France orders": ("coordonneesXY", ["[48.85, 2.35]", "[43.60, 1.44]"], "point_lat_lon"),
    "points in brackets": ("c", ["[2.35, 48.85]", "[1.44, 43.60]"], "point_lon_lat"),
    "siren": ("c", luhn(9), "siren"),
    "three siren": ("c", luhn(9)[:3], "integer"),
    "three siren under their header": ("SIREN", luhn(9)[:3], "siren"),
    "siren whose keys are wrong": ("siren", ["123456789", "123456788", "123456787"], "text"),
    "siret": ("c", luhn(14), "siret"),
    "epci": ("code_epci", luhn(9, "20"), "epci_code"),
    "finess": ("finess_et", luhn(9, "75"), "finess"),
    "communes": ("code_insee", ["01001", "2A004", "97105"], "commune_code"),
    "postal codes": ("cp", ["01000", "75001"], "postal_code"),
    "five digits": ("c", ["01001", "75056"], "text"),
    "five digits of a population": ("population_commune", ["75056", "13055"], "integer"),
    "départements": ("dep", ["01", "2A", "971"], "departement_code"),
    "départements told by Corsica": ("zone", DEPARTEMENTS, "departement_code"),
    "régions": ("REG", ["11", "84"], "region_code"),
    "codes that are no région": ("REG", ["99", "98"], "text"),
    "uai": ("etab", ["0951099D", "0750655E"] * 3, "text"),
    "uai under their header": ("UAI", ["0951099D", "0750655E"], "uai"),
    "phone numbers": ("tel", ["01 23 45 67 89", "0123456789"], "phone"),
    "naf": ("APE", ["62.01Z", "0112Z"], "naf"),
    "text": ("nom", ["Paris", "12"], "text"),
}


def all_decided(connection: duckdb.DuckDBPyConnection, times: int = 1) -> dict[str, ColumnContract]:
    """Every case as a column of one table, each of its texts some times over."""
    cases = {f"c{place}": case for place, case in enumerate(TYPED)}
    height = max(len(texts) for _, texts, _ in TYPED.values()) * times
    columns = {name: (TYPED[case][1] * times + [""] * height)[:height] for name, case in cases.items()}
    headers = {name: TYPED[case][0] for name, case in cases.items()}
    return {cases[one.name]: one for one in proposed(connection, columns, headers=headers).columns}


@pytest.fixture(scope="module")
def by_value(connection: duckdb.DuckDBPyConnection) -> dict[str, ColumnContract]:
    return all_decided(connection)


@pytest.mark.parametrize("case", TYPED)
def test_column_is_the_strictest_type_its_values_and_header_allow(
    by_value: dict[str, ColumnContract], case: str
) -> None:
    assert by_value[case].type == TYPED[case][2]


def test_columns_of_many_values_are_decided_alike(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a sample and a second reading, which columns of many values take; those of two values, never."""
    by_value = all_decided(connection, times=3)
    monkeypatch.setattr("catalog.contracts.evidence.FEW_VALUES", -1)
    monkeypatch.setattr("catalog.contracts.evidence.SAMPLE_ROWS", 1_000)
    of_two = {case for case, (_, texts, kind) in TYPED.items() if kind == "boolean" or len(set(texts) - {"1"}) < 2}
    by_row = all_decided(connection, times=3)
    assert {case: by_row[case] for case in TYPED if case not in of_two} == {
        case: by_value[case] for case in TYPED if case not in of_two
    }


def test_coordinates_need_each_other(connection: duckdb.DuckDBPyConnection) -> None:
    degrees = {"lat": ["48,85", "43,60"], "long": ["2,35", "1,44"]}
    assert [one.type for one in proposed(connection, degrees).columns] == ["latitude", "longitude"]
    assert [one.type for one in proposed(connection, {"long": ["2,35", "1,44"]}).columns] == ["decimal"]


def test_metres_of_lambert_93_need_each_other(connection: duckdb.DuckDBPyConnection) -> None:
    metres = {"x": ["652469,02", "574357.8"], "y": ["6862035.26", "6279642.97"]}
    assert [one.type for one in proposed(connection, metres).columns] == ["lambert93_x", "lambert93_y"]
    assert [one.type for one in proposed(connection, {"x": ["1.5", "2.5"], "y": ["3", "4"]}).columns] == [
        "decimal",
        "integer",
    ]


def test_few_values_that_do_not_fit_are_rejects_and_shown(connection: duckdb.DuckDBPyConnection) -> None:
    proposal = proposed(connection, {"prix": [*NUMBERS, "gratuit"]})
    assert proposal.columns[0].type == "integer"
    assert proposal.columns[0].note == "Some values do not fit: « gratuit »."
    assert proposal.failing == {"prix": 1}


def test_too_many_values_that_do_not_fit_make_text(connection: duckdb.DuckDBPyConnection) -> None:
    assert decided(connection, "prix", [*NUMBERS, "gratuit", "offert"]).type == "text"
    assert decided(connection, "prix", [*NUMBERS[:99], "gratuit"]).type == "text"


def test_days_in_both_orders_are_read_day_first_and_told(connection: duckdb.DuckDBPyConnection) -> None:
    texts = [day.strftime("%d/%m/%Y") for day in DAYS] + [day.strftime("%m/%d/%Y") for day in DAYS]
    proposal = proposed(connection, {"jour": texts})
    column = proposal.columns[0]
    assert column.type == "date"
    assert column.note is not None
    assert column.note.startswith(MIXED_DATES)
    assert proposal.failing == {"jour": sum(day.day > 12 for day in DAYS)}


@pytest.mark.parametrize(
    ("header", "texts", "kind", "markers"),
    [
        ("n", ["1", "2", "nd", "s", "NA", "-"], "integer", ["-", "NA", "nd", "s"]),
        ("t", ["1,5", "mq", "2"], "decimal", ["mq"]),
        ("d", ["01/02/2024", "non renseigné", "02/02/2024"], "date", ["non renseigné"]),
        ("pays", ["FR", "NA", "DE"], "text", []),
        ("lettre", ["a", "s", "b"], "text", []),
        ("canton", ["01", "NA", "02"], "text", ["NA"]),
        ("adresse", ["1 rue X", "-", "N/A", "null", "2 rue Y", "NA"], "text", ["-", "N/A", "null"]),
        ("etat", ["bon", "inconnu", "non renseigné"], "text", []),
        ("service_id", ["S", "S"], "text", []),
        ("revenu", ["s", "s"], "text", ["s"]),
    ],
)
def test_words_for_a_missing_value_follow_the_column(
    connection: duckdb.DuckDBPyConnection, header: str, texts: list[str], kind: str, markers: list[str]
) -> None:
    column = decided(connection, header, texts)
    assert (column.type, column.markers) == (kind, markers)


@pytest.mark.parametrize(
    ("texts", "note"), [(["", " ", None], NO_VALUE), (["2023", "2023"], ONE_VALUE), (["mq", "mq"], NO_VALUE)]
)
def test_column_that_shows_nothing_is_text_and_says_so(
    connection: duckdb.DuckDBPyConnection, texts: list[str | None], note: str
) -> None:
    column = decided(connection, "c", texts)
    assert (column.type, column.note) == ("text", note)


def test_hundred_rows_of_one_value_show_its_type(connection: duckdb.DuckDBPyConnection) -> None:
    assert decided(connection, "annee", ["2023"] * 100).type == "integer"


def test_lineage_is_left_out_and_headers_are_kept(connection: duckdb.DuckDBPyConnection) -> None:
    headers = {"nb_elus": "Nb d'élus (%)", "_source_file": "_source_file"}
    proposal = proposed(connection, {"nb_elus": ["1", "2"], "_source_file": ["a", "b"]}, headers=headers)
    assert [(one.name, one.header, one.unit) for one in proposal.columns] == [("nb_elus", "Nb d'élus (%)", "%")]
    assert proposal.rows == 2


def test_key_is_said_of_the_first_column_that_names_the_rows(connection: duckdb.DuckDBPyConnection) -> None:
    ids = [f"a{n}" for n in range(100)]
    found = proposed(connection, {"id": ids, "code_autre": ids, "nom": ids}).columns
    assert [(one.unique, one.nullable) for one in found] == [(True, False), (False, True), (False, True)]
    assert not proposed(connection, {"id": ids[:99]}).columns[0].unique
    assert not proposed(connection, {"id": [*ids, "a0"]}).columns[0].unique
    assert not proposed(connection, {"nom": ids}).columns[0].unique


def contract(kind: str, decided: str = "evidence", **said: object) -> ColumnContract:
    return ColumnContract.model_validate({"name": "c", "header": "c", "type": kind, "decided": decided, **said})


@pytest.mark.parametrize(
    ("before", "texts", "after"),
    [
        ("integer", ["1", "2"], "integer"),
        ("integer", ["1", "2,5"], "decimal"),
        ("integer", ["1", "x", "y"], "text"),
        ("integer", ["01", "02"], "text"),
        ("date", ["01/02/2024", "01/02/2024 13:45"], "timestamp"),
        ("decimal", ["1", "2"], "decimal"),
        ("text", ["1", "2"], "text"),
        ("integer", [""], "integer"),
        ("integer", [*NUMBERS, "gratuit"], "integer"),
    ],
)
def test_known_type_stays_while_rows_fit_and_widens_when_they_do_not(
    connection: duckdb.DuckDBPyConnection, before: str, texts: list[str], after: str
) -> None:
    proposal = proposed(connection, {"c": texts}, [contract(before, description="told")])
    assert (proposal.columns[0].type, proposal.columns[0].description) == (after, "told")
    assert [(one.column, one.before, one.after) for one in proposal.changes] == (
        [("c", before, after)] if before != after else []
    )


def test_change_shows_what_did_not_fit(connection: duckdb.DuckDBPyConnection) -> None:
    proposal = proposed(connection, {"c": ["1", "2,5"]}, [contract("integer")])
    assert proposal.changes[0].detail == "Values that are no integer: « 2,5 »."


def test_type_is_kept_where_the_feed_says_so(connection: duckdb.DuckDBPyConnection) -> None:
    proposal = proposed(connection, {"c": ["1", "x", "y"]}, [contract("integer")], may_retype=False)
    assert (proposal.columns[0].type, proposal.changes, proposal.failing) == ("integer", [], {"c": 2})


@pytest.mark.parametrize("by", ["hand", "schema"])
def test_what_a_person_or_a_schema_decided_never_changes(connection: duckdb.DuckDBPyConnection, by: str) -> None:
    said = contract("date", by, markers=["rien"], note="asked for")
    proposal = proposed(connection, {"c": ["1", "rien", "nd"]}, [said])
    assert (proposal.columns, proposal.changes, proposal.failing) == ([said], [], {"c": 2})


def test_text_for_want_of_values_is_decided_when_they_come(connection: duckdb.DuckDBPyConnection) -> None:
    known = proposed(connection, {"c": ["", ""]}).columns
    proposal = proposed(connection, {"c": ["1", "2"]}, known)
    assert (proposal.columns[0].type, [one.before for one in proposal.changes]) == ("integer", ["text"])


def test_new_columns_are_added_and_gone_ones_stay(connection: duckdb.DuckDBPyConnection) -> None:
    proposal = proposed(connection, {"d": ["1", "2"]}, [contract("date")])
    assert [(one.name, one.type) for one in proposal.columns] == [("c", "date"), ("d", "integer")]


def test_relation_without_rows_keeps_what_is_known(connection: duckdb.DuckDBPyConnection) -> None:
    assert proposed(connection, {"c": []}, [contract("date")]).columns == [contract("date")]
    assert proposed(connection, {"c": []}).columns[0].type == "text"


def test_note_goes_when_all_fits_again(connection: duckdb.DuckDBPyConnection) -> None:
    known = proposed(connection, {"c": [*NUMBERS, "gratuit"]}).columns
    assert known[0].note is not None
    assert proposed(connection, {"c": NUMBERS}, known).columns[0].note is None


def test_relation_may_be_a_select(connection: duckdb.DuckDBPyConnection) -> None:
    found = decide_columns(connection, "(select '1' as a union all select '2') as one", {"a": "A"})
    assert [(one.name, one.type) for one in found.columns] == [("a", "integer")]


def test_every_value_is_counted_once(connection: duckdb.DuckDBPyConnection) -> None:
    """Values, markers and empty cells add up to the rows, by either road."""
    texts = [str(n) for n in range(5_000)] + ["nd"] * 7 + ["x"] * 3 + ["", None]
    connection.register("incoming", pa.table({"c": pa.array(texts, pa.string())}))
    evidence = gather(connection, "incoming", {"c": list(TYPES)})["c"]
    connection.unregister("incoming")
    assert (evidence.rows, evidence.values, dict(evidence.markers)) == (5_012, 5_003, {"nd": 7})
    assert evidence.fits["integer"] == 5_000


@pytest.mark.parametrize(
    ("header", "words"),
    [("codeCommune", "code commune"), ("Code INSEE (géo)", "code insee geo"), ("1er lot", "1er lot"), ("X", "x")],
)
def test_words_of_a_header(header: str, words: str) -> None:
    assert words_of(header) == words


def test_headers_say_codes_keys_booleans_and_units() -> None:
    codes = ["id", "route_id", "Code postal", "n_insee", "CODGEO", "parent_station", "route_short_name"]
    assert [says_code(header) for header in codes] == [True] * 7
    assert not any(says_code(header) for header in ["nb_codes", "population", "valeur", "idee", "NO"])
    assert [says_key(header) for header in ["id", "id_lieu", "stop_id", "nom"]] == [True, True, True, False]
    assert [header for header in ["est_actif", "is_open", "nb", "a", "Est"] if says_boolean(header)] == [
        "est_actif",
        "is_open",
    ]
    assert [said_unit(header) for header in ["% Voix/Exp", "Surface (m2)", "Montant (k€)", "Nom"]] == [
        "%",
        "m2",
        "k€",
        None,
    ]

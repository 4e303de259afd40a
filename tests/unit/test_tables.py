"""Names of tables found in files: what they keep of a file's name, who shares one, and what never changes them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from datetime import date

import pytest

from ingestion.tables import Found, Remembered, TableNames, full_slug, lasting_slug, shortened

DAY, NEXT = date(2024, 1, 1), date(2024, 1, 2)
ABC = ("a", "b", "c")


def csv(member: str = "", columns: Sequence[str] = ABC, kind: str = "csv") -> Found:
    return Found(member, kind, columns)


def remembered(table: str, *, resource: str = "r1", member: str = "", day: date = DAY, kind: str = "csv") -> Remembered:
    return Remembered(resource, day, table, member, kind, ABC)


def assigned(names: TableNames, file_name: str, *found: Found, resource: str = "r1", title: str = "Title") -> list[str]:
    return names.assign(resource, title, file_name, found or [csv()])


@pytest.mark.parametrize(
    ("file_name", "slug"),
    [
        ("synop.202001.csv.gz", "synop"),
        ("vacsi-a-fra-2022-02-11-19h09.csv", "vacsi_a_fra"),
        ("stops_20200511-190000.txt", "stops"),
        ("stops20200511190000.txt", "stops"),
        ("01-12-2020_stops.csv", "stops"),
        ("commune2022.csv", "commune"),
        ("stock_2019-2020.csv", "stock"),
        ("data-2021T3.csv", "data"),
        ("liste_v2.0.1.xlsx", "liste"),
        ("dump_1580000000.json", "dump"),
        ("points-part-00012.parquet", "points_part"),
        ("utf8_x86.csv", "utf8_x86"),
        ("3-rne-cd.txt", "3_rne_cd"),
        ("zz000001-0000.txt", "zz000001_0000"),
        ("apart-0001.csv", "apart_0001"),
        ("Élus & délégués.CSV.GZ", "elus_delegues"),
        ("dossier/2021/Communes 2021.csv", "communes"),
        ("2021-v2.0.0.csv", ""),
        ("csv", ""),
        ("-", ""),
        ("601ef073-d986-4582-8e1a-ed14dc857fba", ""),
        ("", ""),
    ],
)
def test_what_stays_of_a_files_name(file_name: str, slug: str) -> None:
    assert lasting_slug(file_name) == slug


def test_the_full_name_keeps_its_digits() -> None:
    assert full_slug("synop.202001.csv.gz") == "synop_202001"


def test_files_that_differ_in_a_date_share_a_table() -> None:
    names = TableNames("f", [])
    assert assigned(names, "synop.202001.csv.gz") == ["f__synop"]
    assert assigned(names, "synop.202002.csv.gz", csv(columns=("b", "c", "d")), resource="r2") == ["f__synop"]


def test_files_that_hold_other_columns_share_no_table() -> None:
    names = TableNames("f", [])
    assert assigned(names, "x-2020.csv") == ["f__x"]
    assert assigned(names, "x-2021.csv", csv(columns=("c", "d", "e")), resource="r2") == ["f__x_2021"]
    third = assigned(names, "x-2021.csv", csv(columns=("g",)), resource="r3")
    assert re.fullmatch(r"f__x_2021_[0-9a-f]{6}", third[0])
    assert assigned(names, "x-2022.csv", resource="r4") == ["f__x"]


@pytest.mark.parametrize(("kind", "shares"), [("xlsx", False), ("csv", True), ("ndjson", False)])
def test_files_of_other_kinds_share_no_table(kind: str, shares: bool) -> None:
    names = TableNames("f", [])
    assigned(names, "x.csv")
    assert (assigned(names, "x.txt", csv(kind=kind), resource="r2") == ["f__x"]) is shares


def test_two_kinds_of_one_family_share_a_table() -> None:
    names = TableNames("f", [])
    assigned(names, "x.json", csv(kind="json"))
    assert assigned(names, "x.ndjson", csv(kind="ndjson"), resource="r2") == ["f__x"]


def test_a_name_of_digits_gives_way_to_the_title() -> None:
    assert assigned(TableNames("f", []), "2022-09-04.json", title="Prix par station 2022") == ["f__prix_par_station"]
    assert assigned(TableNames("f", []), "2022.json", title="2022") == ["f__table"]
    assert assigned(TableNames("f", []), "export.csv", title="export.csv") == ["f__export"]
    assert assigned(TableNames("f", []), "2022.json", title="Hommes/Femmes") == ["f__hommes_femmes"]


def test_one_table_of_an_archive_needs_no_name_of_its_own() -> None:
    assert assigned(TableNames("f", []), "feux.zip", csv("Incendies.csv")) == ["f__feux"]


def test_several_tables_of_an_archive_are_told_apart_by_member() -> None:
    found = csv("gtfs/stops.txt"), csv("gtfs/trips.txt", ("x",)), csv("-", ("y",))
    names = assigned(TableNames("f", []), "gtfs.zip", *found)
    assert names == ["f__gtfs__stops", "f__gtfs__trips", "f__gtfs"]


def test_members_that_differ_in_a_date_share_a_table() -> None:
    found = csv("2020/obs-01-2020.csv"), csv("2020/obs-02-2020.csv"), csv("2020/obs-03-2020.csv", ("z",))
    names = assigned(TableNames("f", []), "obs.zip", *found)
    assert names == ["f__obs__obs", "f__obs__obs", "f__obs__obs_03_2020"]


def test_members_of_one_name_in_two_folders_are_told_apart() -> None:
    found = csv("a/x.csv"), csv("b/x.csv", ("z",)), csv("c/x.csv", ("y",))
    names = assigned(TableNames("f", []), "o.zip", *found)
    assert len(set(names)) == 3


def test_a_resource_keeps_its_table_whatever_its_file_is_called() -> None:
    names = TableNames("f", [remembered("f__3_rne_cd")])
    assert assigned(names, "elus-conseillers.csv", csv(columns=("x", "y"))) == ["f__3_rne_cd"]


def test_a_single_member_keeps_its_table_whatever_it_is_called() -> None:
    names = TableNames("f", [remembered("f__x", member="x-2020.csv")])
    assert assigned(names, "y.zip", csv("other.csv", ("z",))) == ["f__x"]


def test_members_keep_their_tables_and_new_ones_get_their_own() -> None:
    memory = [remembered("f__x", member="a.csv"), remembered("f__odd", member="b.csv")]
    names = assigned(TableNames("f", memory), "x.zip", csv("c.csv", ("z",)), csv("b.csv", ("y",)), csv("a.csv"))
    assert names == ["f__x__c", "f__odd", "f__x"]


def test_an_archive_that_grows_keeps_the_table_of_its_first_member() -> None:
    names = TableNames("f", [remembered("f__x", member="obs-2023.csv")])
    assert assigned(names, "x.zip", csv("obs-2024.csv"), csv("notes.csv", ("z",))) == ["f__x", "f__x__notes"]


def test_the_newest_extraction_is_remembered() -> None:
    memory = [remembered("f__new", day=NEXT), remembered("f__old", day=DAY)]
    assert assigned(TableNames("f", memory), "x.csv") == ["f__new"]


def test_a_newcomer_joins_a_remembered_table_only_if_alike() -> None:
    names = TableNames("f", [remembered("f__x", resource="r0")])
    assert assigned(names, "x-2020.csv") == ["f__x"]
    assert assigned(names, "x-2021.csv", csv(columns=("z",)), resource="r2") == ["f__x_2021"]


def test_a_load_whose_kind_was_not_kept_is_taken_at_its_columns() -> None:
    names = TableNames("f", [remembered("f__x", resource="r0", kind="")])
    assert assigned(names, "x-2020.csv") == ["f__x"]


def test_a_refused_file_has_a_name_and_claims_nothing() -> None:
    names = TableNames("f", [remembered("f__kept")])
    assert names.of_refused("r1", "Title", "x.csv") == "f__kept"
    assert names.of_refused("r2", "Title", "x.pdf") == "f__x"
    assert names.of_refused("r2", "Title", "x.zip", ["f__y"]) == "f__y"
    assert names.of_refused("r2", "Title", "x.zip", ["f__x__a", "f__x__b"]) == "f__x"
    assert assigned(names, "x.csv", resource="r3") == ["f__x"]


@pytest.mark.parametrize("feed", ["f", "f" * 36, "f" * 63], ids=["short", "long", "longest"])
def test_names_fit_where_they_can(feed: str) -> None:
    file_names = [f"resultats-par-niveau-departemental-france-entiere-{letter}.csv" for letter in "ab"]
    resources = zip(("r1", "r2"), file_names, strict=True)
    names = TableNames(feed, [])
    found = [name for resource, file_name in resources for name in assigned(names, file_name, resource=resource)]
    assert len(set(found)) == 2
    assert all(len(name) <= max(63, len(feed) + 2 + 24) for name in found)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) and len(name) - len(feed) - 2 >= 20 for name in found)


def test_a_shortened_name_ends_in_a_hash_of_the_whole() -> None:
    assert shortened("a" * 30, 24) != shortened("a" * 31, 24)
    assert shortened("short", 24) == "short"
    assert len(shortened("a" * 99, 24)) == 24
    assert shortened("a" * 99 + "__stops", 24).endswith("__stops")
    assert len(shortened("a" * 99 + "__stops", 24)) == 24


def test_the_same_input_gives_the_same_names_and_memory_changes_none() -> None:
    random_ = random.Random(7)
    stems = ["x", "y-2020", "y-2021", "2020", "csv", "z_v1", "z_v2"]
    resources = [
        (f"r{n}", random_.choice(["Title", "Other 2020"]), random_.choice(stems) + ".csv", _some_tables(random_))
        for n in range(60)
    ]
    first, memory = TableNames("f", []), []
    names = [first.assign(*one) for one in resources]
    for (resource, *_, found), given in zip(resources, names, strict=True):
        memory += [Remembered(resource, DAY, t, o.member, o.kind, o.columns) for t, o in zip(given, found, strict=True)]
    random_.shuffle(memory)
    assert [TableNames("f", memory).assign(*one) for one in reversed(resources)] == names[::-1]
    again = TableNames("f", [])
    assert [again.assign(*one) for one in resources] == names


def _some_tables(random_: random.Random) -> list[Found]:
    members = random_.sample(["a.csv", "b.csv", "c-2020.csv", "c-2021.csv", "-"], random_.randint(1, 4))
    return [
        Found(member, random_.choice(["csv", "json"]), random_.sample("abcdefgh", random_.randint(1, 4)))
        for member in members
    ]

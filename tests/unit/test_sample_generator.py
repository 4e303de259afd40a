"""The sample data: the same bytes for the same seed, complete references, and the shapes of the real files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from catalog.errors import UsageError
from catalog.registry import Registry, load_registry
from catalog.settings import Settings
from ingestion.sample.baac import LAYOUTS, with_ragged_lines
from ingestion.sample.generator import MARKER, ensure_sample, write_sample, write_wide_csv
from ingestion.sample.irve import OPERATORS
from ingestion.sample.listing import BAAC, COG, COMMUNE_POINTS, IRVE

Row = dict[str, str]
SCALE = 0.1
ACCIDENTS = {2018: 200, 2019: 220}
RAGGED_LINES = 2
HEADERS = {  # of the published files
    "caracteristiques-2018": "Num_Acc,an,mois,jour,hrmn,lum,agg,int,atm,col,com,adr,gps,lat,long,dep",
    "lieux-2018": "Num_Acc,catr,voie,v1,v2,circ,nbv,pr,pr1,vosp,prof,plan,lartpc,larrout,surf,infra,situ,env1",
    "vehicules-2018": "Num_Acc,senc,catv,occutc,obs,obsm,choc,manv,num_veh",
    "usagers-2018": "Num_Acc,place,catu,grav,sexe,trajet,secu,locp,actp,etatp,an_nais,num_veh",
    "caracteristiques-2019": "Num_Acc;jour;mois;an;hrmn;lum;dep;com;agg;int;atm;col;adr;lat;long",
    "lieux-2019": "Num_Acc;catr;voie;v1;v2;circ;nbv;vosp;prof;pr;pr1;plan;lartpc;larrout;surf;infra;situ;vma",
    "vehicules-2019": "Num_Acc;id_vehicule;num_veh;senc;catv;obs;obsm;choc;manv;motor;occutc",
    "usagers-2019": "Num_Acc;id_usager;id_vehicule;num_veh;place;catu;grav;sexe;an_nais;trajet;secu1;secu2;secu3;"
    "locp;actp;etatp",
}


def read_bytes(path: Path) -> bytes:
    """The CSV in a file, out of its gzip or ZIP."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.namelist()
            return archive.read(member)
    return path.read_bytes()


def read_rows(path: Path, separator: str = ",", encoding: str = "utf-8") -> list[Row]:
    """The rows that are as wide as the header."""
    header, *lines = csv.reader(io.StringIO(read_bytes(path).decode(encoding), newline=""), delimiter=separator)
    return [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=SCALE)
    return folder


@pytest.fixture(scope="module", params=[2018, 2019])
def year(request: pytest.FixtureRequest, sample: Path) -> dict[str, list[Row]]:
    """One year's four tables."""
    (layout,) = [one for one in LAYOUTS if one.year == request.param]
    folder = sample / "datasets" / BAAC / str(layout.year)
    return {
        table: read_rows(folder / layout.files[table], dialect.separator, dialect.encoding)
        for table, dialect in layout.dialects.items()
    }


@pytest.fixture(scope="module")
def communes(sample: Path) -> list[Row]:
    return read_rows(sample / "datasets" / COG / "communes.csv")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_sample_is_the_same_for_the_same_seed_and_other_for_another(tmp_path: Path, sample: Path) -> None:
    write_sample(tmp_path / "again", scale=SCALE)
    write_sample(tmp_path / "other", scale=SCALE, seed=1)
    first, again, other = digests(sample), digests(tmp_path / "again"), digests(tmp_path / "other")
    assert again == first
    changed = {path for path in first if other[path] != first[path]}
    assert {Path(path).parts[1] for path in changed} == {BAAC, IRVE}
    assert len(changed) == 10  # eight files of accidents, two of charging points


def test_sample_grows_with_its_scale(tmp_path: Path, sample: Path) -> None:
    write_sample(tmp_path, scale=SCALE / 2)
    file = Path("datasets") / BAAC / "2018" / "caracteristiques-2018.csv"
    assert (len(read_bytes(sample / file).splitlines()), len(read_bytes(tmp_path / file).splitlines())) == (201, 101)


@pytest.mark.parametrize("name", HEADERS)
def test_sample_has_the_header_of_the_published_file(name: str, sample: Path) -> None:
    (file,) = (sample / "datasets" / BAAC).rglob(f"{name}.*")
    header = read_bytes(file).split(b"\n", 1)[0].decode()
    assert (header.replace('"', "") if "2019" in name else header) == HEADERS[name]


def test_sample_exercises_gzip_zip_and_the_windows_encoding(sample: Path) -> None:
    folder = sample / "datasets" / BAAC / "2018"
    assert {path.name for path in folder.iterdir()} == {
        "caracteristiques-2018.csv",
        "lieux-2018.csv",
        "vehicules-2018.csv.gz",
        "usagers-2018.zip",
    }
    text = (folder / "caracteristiques-2018.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        text.decode("utf-8")
    assert "Général" in text.decode("cp1252")


def test_accidents_are_joined_by_all_that_hangs_on_them(year: dict[str, list[Row]]) -> None:
    accidents = {row["Num_Acc"] for row in year["caracteristiques"]}
    assert len(accidents) == len(year["caracteristiques"]) in ACCIDENTS.values()
    for table in ("lieux", "vehicules", "usagers"):
        assert {row["Num_Acc"] for row in year[table]} == accidents


def test_people_sit_in_a_vehicle_of_their_accident(year: dict[str, list[Row]]) -> None:
    key = ("Num_Acc", "num_veh", "id_vehicule") if "id_vehicule" in year["vehicules"][0] else ("Num_Acc", "num_veh")
    vehicles = Counter(tuple(row[name] for name in key) for row in year["vehicules"])
    driven = Counter(tuple(row[name] for name in key) for row in year["usagers"] if row["catu"] == "1")
    assert set(vehicles.values()) == {1}
    assert driven == vehicles
    assert {tuple(row[name] for name in key) for row in year["usagers"]} == set(vehicles)


def test_identifiers_of_2019_are_unique_and_grouped_by_no_break_spaces(sample: Path) -> None:
    folder = sample / "datasets" / BAAC / "2019"
    for table, name in (("usagers", "id_usager"), ("vehicules", "id_vehicule")):
        values = [row[name] for row in read_rows(folder / f"{table}-2019.csv", ";")]
        assert len(set(values)) == len(values)
        assert all(re.fullmatch(r"\d{3}\u00a0\d{3}\u00a0\d{3}", value) for value in values)


def test_every_accident_hurts_someone(year: dict[str, list[Row]]) -> None:
    hurt = {row["Num_Acc"] for row in year["usagers"] if row["grav"] in {"2", "3", "4"}}
    assert hurt == {row["Num_Acc"] for row in year["caracteristiques"]}


def test_places_are_one_an_accident_until_2018_and_up_to_three_since(sample: Path) -> None:
    folder = sample / "datasets" / BAAC
    old = Counter(row["Num_Acc"] for row in read_rows(folder / "2018" / "lieux-2018.csv"))
    new = Counter(row["Num_Acc"] for row in read_rows(folder / "2019" / "lieux-2019.csv", ";"))
    assert set(old.values()) == {1}
    assert set(new.values()) <= {1, 2, 3}
    assert 1.15 < new.total() / len(new) < 1.45  # 1.29 in 2023


def test_lieux_2019_has_one_line_too_short_and_one_too_long(sample: Path) -> None:
    lines = (sample / "datasets" / BAAC / "2019" / "lieux-2019.csv").read_bytes().splitlines()
    widths = Counter(len(line.split(b";")) for line in lines)
    assert widths == {18: len(lines) - RAGGED_LINES, 9: 1, 19: 1}


def test_ragged_lines_repeat_the_row_before_them() -> None:
    assert with_ragged_lines(b"a;b;c;d\n1;2;3;4\n").split(b"\n") == [
        b"a;b;c;d",
        b"1;2;3;4",
        b"1;2",
        b'1;2;3;4;"VOIE SANS NOM"',
        b"",
    ]


def test_codes_of_2018_are_written_the_old_way(sample: Path) -> None:
    folder = sample / "datasets" / BAAC / "2018"
    accidents = read_rows(folder / "caracteristiques-2018.csv", encoding="cp1252")
    assert {row["an"] for row in accidents} == {"18"}
    assert all(re.fullmatch(r"0|[1-9]\d{0,3}", row["hrmn"]) and int(row["hrmn"]) % 100 < 60 for row in accidents)
    assert all(re.fullmatch(r"(\d\d|20)0|20[12]|97\d", row["dep"]) for row in accidents)
    assert all(re.fullmatch(r"\d{3}", row["com"]) for row in accidents)
    assert all(re.fullmatch(r"-?\d*", row["lat"]) for row in accidents)
    people = read_rows(folder / "usagers-2018.zip")
    assert all(re.fullmatch(r"([123459][123])?", row["secu"]) for row in people)


def test_codes_of_2019_are_written_the_new_way(sample: Path) -> None:
    accidents = read_rows(sample / "datasets" / BAAC / "2019" / "caracteristiques-2019.csv", ";")
    assert {row["an"] for row in accidents} == {"2019"}
    assert all(re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", row["hrmn"]) for row in accidents)
    assert all(row["com"].startswith(row["dep"]) for row in accidents)
    assert all(re.fullmatch(r"(-?\d+,\d{8})?", row["lat"]) for row in accidents)
    assert any(row["adr"] == "N/A" for row in accidents)


def test_accidents_happen_in_communes_of_the_cog(sample: Path, communes: list[Row]) -> None:
    known = {row["COM"] for row in communes if row["TYPECOM"] in {"COM", "ARM"}}
    accidents = read_rows(sample / "datasets" / BAAC / "2019" / "caracteristiques-2019.csv", ";")
    assert {row["com"] for row in accidents} <= known


def test_cog_is_whole_down_to_its_chief_towns(sample: Path, communes: list[Row]) -> None:
    regions = read_rows(sample / "datasets" / COG / "regions.csv")
    departements = read_rows(sample / "datasets" / COG / "departements.csv")
    codes = {row["COM"]: row for row in communes if row["TYPECOM"] == "COM"}
    assert (len(regions), len(departements)) == (18, 101)
    assert {row["CHEFLIEU"] for row in (*regions, *departements)} <= set(codes)
    assert {row["REG"] for row in departements} == {row["REG"] for row in regions}
    assert {row["DEP"] for row in codes.values()} == {row["DEP"] for row in departements}
    assert Counter(row["TYPECOM"] for row in communes)["ARM"] == 20 + 9 + 16  # Paris, Lyon, Marseille
    assert {row["COMPARENT"] for row in communes if row["TYPECOM"] != "COM"} <= set(codes)


def test_every_place_is_a_commune_with_a_point_and_has_lost_its_zeros(sample: Path, communes: list[Row]) -> None:
    file = sample / "datasets" / COMMUNE_POINTS / "communes-departement-region.csv"
    assert read_bytes(file).split(b"\n", 1)[0].decode() == (
        "code_commune_INSEE,nom_commune_postal,code_postal,libelle_acheminement,ligne_5,latitude,longitude,"
        "code_commune,article,nom_commune,nom_commune_complet,code_departement,nom_departement,code_region,nom_region"
    )
    points = read_rows(file)
    assert {row["code_commune_INSEE"].zfill(5) for row in points} <= {row["COM"] for row in communes}
    assert {"1053", "75101", "2A004"} <= {row["code_commune_INSEE"] for row in points}
    assert len(points) > len({row["code_commune_INSEE"] for row in points}) > 1_000, "some have two postal codes"
    assert len({(row["code_commune_INSEE"], row["code_postal"]) for row in points}) == len(points)
    assert all(-90 < float(row["latitude"]) < 90 and -180 < float(row["longitude"]) < 180 for row in points)


def test_charging_points_stay_close_or_open_between_the_two_files(sample: Path) -> None:
    folder = sample / "datasets" / IRVE
    old = read_rows(folder / "irve-2018.csv", ";")
    new = read_rows(folder / "irve-2021.csv")
    before, after = {row["id_pdc"] for row in old}, {row["id_pdc_itinerance"] for row in new} - {"Non concerné"}
    assert len(before) == len(old)
    assert len(before & after) > len(before - after) > 0
    assert after - before
    assert (len(old[0]), len(new[0])) == (18, 41)


def test_operators_have_valid_siren_numbers() -> None:
    for operator in OPERATORS:
        digits = [int(digit) for digit in operator.siren]
        doubled = [2 * digit if place % 2 else digit for place, digit in enumerate(reversed(digits))]
        assert len(digits) == 9
        assert sum(digit // 10 + digit % 10 for digit in doubled) % 10 == 0


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(Settings())


@pytest.mark.parametrize("feed", ["accidents", "cog", "irve", "jours_feries", "points_communes"])
def test_feeds_take_every_resource_but_the_documentation(feed: str, sample: Path, registry: Registry) -> None:
    chosen = registry.get(feed)
    entries = json.loads((sample / "portal.json").read_text("utf-8"))["datasets"]
    (entry,) = [entry for entry in entries if chosen.source.dataset in (entry["id"], entry["slug"])]
    taken = {}
    for resource in entry["resources"]:
        file = resource["versions"][-1]["file"].rsplit("/", 1)[-1] if resource["versions"] else resource["url"]
        table = chosen.table_of(resource["title"], file)
        taken[resource["title"]] = table.name if table else resource["type"]
    not_there = {"historique"}  # the text lists ended in 2018, and the sample's COG is of 2022
    assert set(taken.values()) - {"documentation"} == {table.name for table in chosen.declared} - not_there
    assert "main" not in taken.values()


def test_ensure_sample_reuses_the_same_and_replaces_another(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert ensure_sample(folder, scale=0.01) is True
    first = digests(folder)
    assert ensure_sample(folder, scale=0.01) is False
    assert digests(folder) == first
    assert ensure_sample(folder, scale=0.01, seed=2) is True
    assert digests(folder) != first
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_ensure_sample_replaces_what_another_version_of_this_code_made(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ensure_sample(folder, scale=0.01)
    (folder / MARKER).write_text("of another version\n")
    (folder / "portal.json").unlink()
    assert ensure_sample(folder, scale=0.01) is True
    assert (folder / "portal.json").exists()


def test_ensure_sample_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "portal.json").write_text("{}")
    with pytest.raises(UsageError, match="not a sample"):
        ensure_sample(tmp_path)
    assert (tmp_path / "portal.json").read_text() == "{}"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_wide_csv_has_the_rows_columns_and_encoding_asked_for(encoding: str, tmp_path: Path) -> None:
    write_wide_csv(tmp_path / "wide.csv", 1_000, columns=7, encoding=encoding)
    rows = read_rows(tmp_path / "wide.csv", ";", encoding)
    assert len(rows) == 1_000
    assert list(rows[0]) == ["texte_1", "code_2", "decimal_3", "date_4", "nombre_5", "texte_6", "code_7"]
    assert any("é" in row["texte_1"] for row in rows)
    assert any(row["code_2"].startswith("0") for row in rows)
    assert all(re.fullmatch(r"(-?\d+,\d\d)?", row["decimal_3"]) for row in rows)
    assert 0 < sum(not row["date_4"] for row in rows) < 100


def test_wide_csv_goes_on_over_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.sample.wide.CHUNK", 300)
    write_wide_csv(tmp_path / "wide.csv.gz", 1_000, columns=2)
    rows = read_rows(tmp_path / "wide.csv.gz", ";")
    assert len(rows) == 1_000
    assert len({row["texte_1"] for row in rows[:300]} ^ {row["texte_1"] for row in rows[300:600]}) > 10


def test_sample_drawn_in_many_chunks_has_one_header_and_unique_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.sample.baac.CHUNK", 30)
    monkeypatch.setattr("ingestion.sample.irve.CHUNK", 7)
    write_sample(tmp_path, scale=0.05)
    accidents = read_rows(tmp_path / "datasets" / BAAC / "2019" / "caracteristiques-2019.csv", ";")
    people = read_rows(tmp_path / "datasets" / BAAC / "2019" / "usagers-2019.csv", ";")
    points = read_rows(tmp_path / "datasets" / IRVE / "irve-2018.csv", ";")
    assert len({row["Num_Acc"] for row in accidents}) == len(accidents) == 110
    assert len({row["id_usager"] for row in people}) == len(people)
    assert len({row["id_pdc"] for row in points}) == len(points)
    assert len({(row["adr"], row["lat"]) for row in accidents}) > 100  # each chunk draws its own

"""What the columns of real files of data.gouv.fr are decided to be, on all their rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest
from shared_portal import DATA, requires_shared

from catalog.contracts.contract import ColumnContract
from catalog.contracts.decide import Proposal, decide_columns
from catalog.contracts.types import TYPES
from catalog.names import quote_identifier
from ingestion.decode import DecodedTable, decode

pytestmark = [pytest.mark.real, requires_shared]

FILES = DATA / "datasets"
ACCIDENTS = "bases-de-donnees-annuelles-des-accidents-corporels-de-la-circulation-routiere"
COUNCILLORS = "elus-conseillers-departementaux"
CHARGERS = "fichier-consolide-des-bornes-de-recharge-pour-vehicules-electriques"


def load(
    connection: duckdb.DuckDBPyConnection, table: str, path: str, member: str | None, scratch: Path
) -> dict[str, str]:
    """Put one table of a file, all text, into DuckDB; give its columns' headers."""
    file = FILES / path
    for found in decode(file, file_name=file.name, declared_format=None, scratch=scratch):
        if isinstance(found, DecodedTable) and found.member == member:
            connection.register("incoming", found.frame.collect().to_arrow())
            connection.execute(f"create or replace table {quote_identifier(table)} as select * from incoming")
            connection.unregister("incoming")
            return dict(zip(found.columns, found.headers, strict=True))
    raise AssertionError(f"{path} has no table {member}")


def propose(
    connection: duckdb.DuckDBPyConnection,
    path: str,
    scratch: Path,
    member: str | None = None,
    known: Sequence[ColumnContract] = (),
) -> Proposal:
    headers = load(connection, "told", path, member, scratch)
    return decide_columns(connection, '"told"', headers, known)


TELLING = {
    "accidents": (
        f"{ACCIDENTS}/2023/caract-2023.csv",
        None,
        "num_acc text, mois text, hrmn time, dep departement_code, com commune_code, lat latitude, long longitude, "
        "lum integer, adr text",
    ),
    "road users": (
        f"{ACCIDENTS}/2023/usagers-2023.csv",
        None,
        "id_usager text, id_vehicule text, num_veh text, an_nais integer, grav integer, actp text",
    ),
    "accidents written by a program": (
        f"{ACCIDENTS}/2016-extrait/caracteristiques_2016_extrait5000.csv",
        None,
        "num_acc text, dep text, com text, lat decimal, hrmn integer",
    ),
    "property sales": (
        "demandes-de-valeurs-foncieres/ValeursFoncieres-ZZ000001-0000-echantillon-bouchonne.txt",
        None,
        "date_mutation date, valeur_fonciere decimal, code_postal postal_code, code_departement departement_code, "
        "code_commune text, no_disposition text, code_voie text, surface_terrain integer, section text",
    ),
    "establishments": (
        "base-sirene-extrait/StockEtablissement_reduit_utf8.zip",
        "-",
        "siren siren, nic text, siret siret, datecreationetablissement date, "
        "datederniertraitementetablissement timestamp, etablissementsiege boolean, "
        "codepostaletablissement postal_code, codecommuneetablissement commune_code, numerovoieetablissement text",
    ),
    "stops of a schedule": (
        "gtfs-stran/stran-merge.gtfs-1-.zip",
        "stops.txt",
        "stop_id text, stop_lat latitude, stop_lon longitude, parent_station text, location_type integer",
    ),
    "calendar of a schedule": (
        "gtfs-stran/stran-merge.gtfs-1-.zip",
        "calendar.txt",
        "service_id text, monday integer, start_date date_compact, end_date date_compact",
    ),
    "weather": (
        "donnees-synop-essentielles-omm/synop.202001.csv.gz",
        None,
        "numer_sta text, date timestamp_compact, pmer integer, t decimal, cod_tend text, rr24 decimal, niv_bar text",
    ),
    "communes": (
        "code-officiel-geographique/2022/communes.csv",
        None,
        "typecom text, com commune_code, reg region_code, dep departement_code, arr text, can text, tncc integer, "
        "comparent commune_code",
    ),
    "départements": (
        "code-officiel-geographique/2021/departements.csv",
        None,
        "dep departement_code, reg region_code, cheflieu commune_code",
    ),
    "crimes": (
        "bases-statistiques-delinquance/donnee-dep-data.gouv-2022-geographie2023-produit-le2023-07-17.csv.gz",
        None,
        "code_departement departement_code, code_region region_code, tauxpourmille decimal, faits integer, classe text",
    ),
    "car-sharing places": (
        "base-nationale-des-lieux-de-covoiturage/2024-09-17/bnlc-.csv",
        None,
        "id_lieu text, insee commune_code, ouvert boolean, date_maj date, xlong longitude, ylat latitude, "
        "nbre_pl integer",
    ),
    "communes of the territories of Paris": (
        "etablissements-publics-territoriaux/ept.xlsx",
        "Composition_communale",
        "codgeo commune_code, ept siren, libept text, dep departement_code, reg region_code",
    ),
    "charging points": (
        f"{CHARGERS}/2021-v2.0.0.csv",
        None,
        "coordonneesxy point_lat_lon, siren_amenageur siren, code_insee_commune commune_code, gratuit boolean, "
        "puissance_nominale decimal, date_mise_en_service date, last_modified timestamp, num_pdl text",
    ),
    "charging points of 2014, their coordinates padded by a space": (
        f"{CHARGERS}/2014-12.csv",
        None,
        "latitude latitude, longitude longitude, nbre_pdc integer",
    ),
    "votes": (
        "resultats-presidentielle-2022/resultats-par-niveau-dpt-t1-france-entiere.xlsx",
        "Résultats par niveau Dpt T1 Fra",
        "code_du_departement text, inscrits integer, abs_ins decimal, voix integer, nom text",
    ),
    "councillors of 2019": (
        f"{COUNCILLORS}/2019-01-08/3-rne-cd.txt",
        None,
        "code_du_canton text, date_de_naissance date, date_de_debut_du_mandat date, code_sexe text",
    ),
    "councillors of 2022": (
        f"{COUNCILLORS}/2022-12-16/3-rne-cd.csv",
        None,
        "code_du_canton text, date_de_naissance date, date_de_debut_du_mandat date",
    ),
    "councillors of 2023, their days at midnight": (
        f"{COUNCILLORS}/2023-06-06/4-elus-conseiller-departemental.csv",
        None,
        "code_canton text, date_naissance_elu date, date_debut_mandat date",
    ),
    "public contracts": (
        "donnees-essentielles-de-la-commande-publique/data.gouv.fr_pes_json_2019-02-11.zip",
        "data.gouv.fr_pes.json",
        "id text, acheteur json, datenotification date, montant decimal, codecpv text, dureemois integer",
    ),
    "forest fires": (
        "base-de-donnees-incendies-de-forets-bdiff/incendies.zip",
        "Incendies.csv",
        "annee integer, departement departement_code, code_insee commune_code, date_de_premiere_alerte timestamp, "
        "surface_foret_m2 integer",
    ),
    "outlines of départements": (
        "contours-administratifs/departements-1000m.geojson",
        None,
        "code departement_code, region region_code, geometry geometry",
    ),
}


@pytest.mark.parametrize(("path", "member", "expected"), TELLING.values(), ids=TELLING.keys())
def test_columns_of_a_real_file_are_what_they_are(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, path: str, member: str | None, expected: str
) -> None:
    proposal = propose(connection, path, tmp_path, member)
    types = {column.name: column.type for column in proposal.columns}
    wanted = dict(pair.split(" ") for pair in expected.split(", "))
    assert {name: types.get(name) for name in wanted} == wanted


def test_gaps_of_the_weather_are_kept_as_reasons(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    proposal = propose(connection, "donnees-synop-essentielles-omm/synop.202001.csv.gz", tmp_path)
    columns = {column.name: column for column in proposal.columns}
    assert [columns[name].markers for name in ("pmer", "cod_tend", "niv_bar", "numer_sta")] == [
        ["mq"],
        ["mq"],
        ["mq"],
        [],
    ]
    assert proposal.failing == {}


def test_nothing_is_lost_between_text_and_type(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Rows = values that read + markers + empty cells + failing, in every column of a file with rejects."""
    proposal = propose(connection, f"{ACCIDENTS}/2023/lieux-2023.csv.gz", tmp_path)
    for column in proposal.columns:
        name = quote_identifier(column.name)
        read = TYPES[column.type].read.replace("{}", name)
        found = connection.execute(
            f"""
            select
                count(*) filter (fr_text({name}) is null),
                count(*) filter (list_contains($markers, fr_text({name}))),
                count(*) filter ({read} is not null and not list_contains($markers, fr_text({name}))),
            from told
            """,
            {"markers": column.markers},
        ).fetchone()
        assert found is not None
        assert sum(found) + proposal.failing.get(column.name, 0) == proposal.rows
    assert proposal.failing == {"nbv": 54}


def test_days_of_all_years_are_of_one_type(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """From 10/2/1970 to 1955-05-02 00:00:00+00: one column of bronze holds them all."""
    days = []
    for place, (path, column) in enumerate(
        [
            ("2019-01-08/3-rne-cd.txt", "date_de_naissance"),
            ("2022-12-16/3-rne-cd.csv", "date_de_naissance"),
            ("2023-06-06/4-elus-conseiller-departemental.csv", "date_naissance_elu"),
        ]
    ):
        load(connection, f"year{place}", f"{COUNCILLORS}/{path}", None, tmp_path)
        days.append(f"select {column} as jour from year{place}")
    proposal = decide_columns(connection, f"({' union all '.join(days)}) as years", {"jour": "Date de naissance"})
    assert [(column.type, column.note) for column in proposal.columns] == [("date", None)]


def test_next_month_keeps_the_types(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    folder = "donnees-synop-essentielles-omm"
    january = propose(connection, f"{folder}/synop.202001.csv.gz", tmp_path)
    february = propose(connection, f"{folder}/synop.202002.csv.gz", tmp_path, known=january.columns)
    assert february.changes == []
    assert [column.type for column in february.columns] == [column.type for column in january.columns]

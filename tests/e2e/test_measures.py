"""Two days of fuel prices and two months of weather, from the stand-in portal to gold, beside the files read anew.

What is expected is computed from the published files with the standard library alone.
"""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import mean, median
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import lake_settings
from lakes import odh, sql
from shared_portal import DATA, requires_shared, shared_portal

from catalog.session import Session, open_session
from catalog.settings import Settings

pytestmark = [requires_shared, pytest.mark.real]

FIRST, SECOND = date(2023, 11, 22), date(2023, 11, 23)
FUELS = DATA / "datasets/prix-des-carburants-en-france-flux-instantane"
WEATHER = DATA / "datasets/donnees-synop-essentielles-omm"
Listed = dict[tuple[str, str], tuple[datetime, Decimal]]  # (station, fuel) → time of its price, price


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lake that looked at the fuel prices on both days, and at the weather on the second."""
    with shared_portal(as_of=FIRST.isoformat()) as portal:
        settings = lake_settings(tmp_path_factory.mktemp("measures") / "lake", portal_url=portal.url)
        odh(settings, "sync", "carburants", "--extraction-date", FIRST.isoformat())
        portal.control(as_of=SECOND.isoformat())
        odh(settings, "run", "carburants", "meteo", "--extraction-date", SECOND.isoformat())
        yield settings


@pytest.fixture(scope="module")
def session(lake: Settings) -> Iterator[Session]:
    with open_session(lake) as opened:
        yield opened


def stations_of(snapshot: str) -> list[ElementTree.Element]:
    with zipfile.ZipFile(FUELS / snapshot) as archive:
        return list(ElementTree.fromstring(archive.read("PrixCarburants_instantane.xml")))


@pytest.fixture(scope="module")
def snapshots() -> list[list[ElementTree.Element]]:
    return [stations_of(path.name) for path in sorted(FUELS.glob("*.zip"))]


def listed(stations: list[ElementTree.Element]) -> Listed:
    return {
        (str(station.get("id")), str(price.get("id"))): (
            datetime.fromisoformat(str(price.get("maj"))),
            Decimal(str(price.get("valeur"))),
        )
        for station in stations
        for price in station.findall("prix")
    }


@pytest.fixture(scope="module")
def prices(snapshots: list[list[ElementTree.Element]]) -> dict[date, Listed]:
    """The prices in force at the end of each day: the second snapshot tells what changed on the first after it."""
    before, after = map(listed, snapshots)
    first_day = {
        key: after[key] if key in after and after[key][0] > told[0] and after[key][0].date() <= FIRST else told
        for key, told in before.items()
    }
    return {FIRST: first_day, SECOND: after}


def test_each_station_has_a_history_of_how_it_was_described(
    session: Session, snapshots: list[list[ElementTree.Element]]
) -> None:
    before, after = ({str(one.get("id")): one for one in stations} for stations in snapshots)
    rows = session.execute(
        "select station_id, valid_from, valid_to, is_current, address from silver.stg_carburants__stations__history"
    ).fetchall()
    states: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for station, *state in sorted(rows):
        states[station].append(tuple(state))
    assert states.keys() == before.keys() | after.keys()
    changed = {station for station, told in states.items() if len(told) > 1}
    assert 0 < len(changed) < 50
    for station in changed:
        first, second = states[station]
        assert (first[:3], second[:3]) == ((FIRST, SECOND, False), (SECOND, None, True))
        assert ElementTree.tostring(before[station]) != ElementTree.tostring(after[station])
    unlisted = before.keys() - after.keys()
    assert all(states[station][0][2] for station in unlisted), "an upserted row is never deleted"
    current = "select * exclude (valid_from, valid_to, is_current) from silver.stg_carburants__stations__history"
    lineage = "_resource_id, _extraction_date, _source_file, _source_member, _source_line, _loaded_at"
    lost = session.execute(
        f"select * exclude ({lineage}) from silver.stg_carburants__stations except"
        f" select * exclude ({lineage}) from ({current} where is_current)"
    ).fetchall()
    assert lost == []


def test_a_table_of_which_nothing_was_replaced_has_no_history(session: Session) -> None:
    silver = session.tables()["silver"]
    assert "stg_meteo__observations" in silver
    assert "stg_meteo__observations__history" not in silver


def departement_of(station: ElementTree.Element) -> str:
    code = str(station.get("cp"))
    return code[:2] if code[:2] != "20" else "2A" if code[2] in "01" else "2B"


def test_each_station_and_fuel_has_its_price_of_each_day(session: Session, prices: dict[date, Listed]) -> None:
    rows = session.execute(
        "select price_date, station_id, fuel_code, updated_at, price_eur_per_litre from gold.fct_fuel_price"
    ).fetchall()
    assert len(rows) == sum(map(len, prices.values())) == 66_873
    found: dict[date, Listed] = defaultdict(dict)
    for day, station, fuel, *told in rows:
        found[day][station, fuel] = tuple(told)
    assert found == prices


def test_a_price_set_after_the_snapshot_of_its_day_is_told_by_the_next(
    session: Session, snapshots: list[list[ElementTree.Element]], prices: dict[date, Listed]
) -> None:
    told_later = {key for key, told in listed(snapshots[0]).items() if prices[FIRST][key] != told}
    assert len(told_later) == 138
    rows = session.execute(
        "select station_id, fuel_code, price_date, snapshot_date, _extraction_date"
        " from gold.fct_fuel_price where is_told_later"
    ).fetchall()
    assert {(row[0], row[1]) for row in rows} == told_later
    assert {row[2:] for row in rows} == {(FIRST, FIRST, SECOND)}


def test_the_marts_tell_the_means_and_the_changes_of_the_files(
    session: Session, snapshots: list[list[ElementTree.Element]], prices: dict[date, Listed]
) -> None:
    departements = {str(station.get("id")): departement_of(station) for station in snapshots[1]}
    groups: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    changes: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for key, (_, price) in prices[SECOND].items():
        group = (departements[key[0]], key[1])
        groups[group].append(price)
        if key in prices[FIRST]:
            changes[group].append(price - prices[FIRST][key][1])
    rows = session.execute(
        "select departement_code, fuel_code, station_count, mean_price_eur_per_litre, median_price_eur_per_litre,"
        " compared_station_count, mean_change_eur_per_litre, raised_station_count, lowered_station_count"
        f" from gold.mart_fuel_price_departement where price_date = '{SECOND}'"
    ).fetchall()
    assert {row[:3] for row in rows} == {(*group, len(told)) for group, told in groups.items()}
    for departement, fuel, _, average, middle, compared, change, raised, lowered in rows:
        told, changed = groups[departement, fuel], changes[departement, fuel]
        assert (average, middle) == pytest.approx((mean(told), median(told)), abs=Decimal("0.0001"))
        assert compared == len(changed)
        assert change == (pytest.approx(mean(changed), abs=Decimal("0.0001")) if changed else None)
        assert (raised, lowered) == (sum(one > 0 for one in changed), sum(one < 0 for one in changed))
    [(count, raised)] = session.execute(
        "select sum(station_count), sum(raised_station_count) from gold.mart_fuel_price_day"
        f" where price_date = '{SECOND}'"
    ).fetchall()
    assert count == len(prices[SECOND])
    assert raised == sum(one > 0 for group in changes.values() for one in group)


def test_stations_stand_where_the_file_says_and_in_a_commune(
    session: Session, snapshots: list[list[ElementTree.Element]]
) -> None:
    found = {
        row[0]: row[1:]
        for row in session.execute(
            "select station_id, latitude, longitude, departement_code, road_kind_code, is_listed from gold.dim_station"
        ).fetchall()
    }
    assert found == {
        station.get("id"): (
            pytest.approx(float(str(station.get("latitude"))) / 1e5),
            pytest.approx(float(str(station.get("longitude"))) / 1e5),
            departement_of(station),
            station.get("pop"),
            True,
        )
        for station in snapshots[1]
    }
    known = dict(
        session.execute(
            "select s.station_id, c.commune_name from gold.dim_station as s"
            " join gold.dim_commune as c on s.commune_key = c.commune_code where c.commune_code <> '00000'"
        ).fetchall()
    )
    assert known["18230001"] == "Saint-Doulchard"
    assert len(known) > 0.98 * len(found)


def test_a_row_leads_back_to_the_very_element(session: Session, snapshots: list[list[ElementTree.Element]]) -> None:
    elements = [price for station in snapshots[1] for price in station.findall("prix")]
    rows = session.execute(
        "select _source_line, price_eur_per_litre, fuel_code, _source_member from gold.fct_fuel_price"
        f" where _extraction_date = '{SECOND}' and price_date = '{SECOND}' order by _source_line limit 1000"
    ).fetchall()
    assert [row[1:] for row in rows] == [
        (Decimal(str(one.get("valeur"))), one.get("id"), "PrixCarburants_instantane.xml/prix")
        for one in elements[:1000]
    ]


def observations() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for path in sorted(WEATHER.glob("*.gz")):
        with gzip.open(path, "rt", encoding="ascii") as text:
            rows += csv.DictReader(text, delimiter=";")
    return rows


def measure(text: str, *, minus: str = "0", times: str = "1") -> Decimal | None:
    return None if text == "mq" else (Decimal(text) - Decimal(minus)) * Decimal(times)


def rain(text: str) -> Decimal | None:
    """Millimetres; a trace is written as -0.1."""
    told = measure(text)
    return told if told is None else max(told, Decimal(0))


def test_each_weather_observation_is_told_in_common_units(session: Session) -> None:
    rows = session.execute(
        "select weather_station_id, observed_at_utc, temperature_c, sea_level_pressure_hpa, wind_speed_m_s,"
        " precipitation_3h_mm, humidity_pct from gold.fct_weather_observation"
    ).fetchall()
    assert len(rows) == 28_695
    assert {row[:2]: row[2:] for row in rows} == {
        (one["numer_sta"], datetime.strptime(one["date"], "%Y%m%d%H%M%S")): (  # noqa: DTZ007 - the column is in UTC
            measure(one["t"], minus="273.15"),
            measure(one["pmer"], times="0.01"),
            measure(one["ff"]),
            rain(one["rr3"]),
            measure(one["u"]),
        )
        for one in observations()
    }


def test_a_weather_day_holds_its_temperatures_and_the_rain_that_fell_on_it(session: Session) -> None:
    temperatures: dict[tuple[str, date], list[Decimal]] = defaultdict(list)
    rains: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    for one in observations():
        moment = datetime.strptime(one["date"], "%Y%m%d%H%M%S")  # noqa: DTZ007 - the file is in UTC
        if (celsius := measure(one["t"], minus="273.15")) is not None:
            temperatures[one["numer_sta"], moment.date()].append(celsius)
        if (millimetres := rain(one["rr3"])) is not None:
            rains[one["numer_sta"], (moment - timedelta(hours=3)).date()] += millimetres
    rows = session.execute(
        "select weather_station_id, observation_date, temperature_count, min_temperature_c, max_temperature_c,"
        " precipitation_mm from gold.mart_weather_day"
    ).fetchall()
    assert len(rows) == 61 * 60
    expected: dict[tuple[str, date], tuple[Any, ...]] = {}
    for station, day, *_ in rows:
        told = temperatures.get((station, day), [])
        lowest, highest = (min(told), max(told)) if told else (None, None)
        expected[station, day] = (len(told), lowest, highest, rains.get((station, day)))
    assert {row[:2]: row[2:] for row in rows} == expected


def test_what_is_odd_in_the_files_is_a_warning_and_nothing_fails(lake: Settings) -> None:
    rows = sql(lake, "select status, test_name, failures from ops.quality_results where status <> 'pass'")
    assert {row[0] for row in rows} == {"warn"}
    warned = {name: failures for _, name, failures in rows}
    [mistyped] = [failures for name, failures in warned.items() if name.startswith("accepted_ranges_stg_carburants")]
    assert mistyped == 1  # 7.849 € a litre on the first day
    assert [name for name in warned if name.startswith("is_fresh")] == [
        "is_fresh_stg_meteo__observations_observed_at_utc__45"
    ]

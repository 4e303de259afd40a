"""Invent charging points, published twice: in the layout of 2018-2020, then in version 2 of the national schema.

Stations are drawn once with the years they live: some are in both files under the same identifiers, some only in the
first (closed since), some only in the second (opened since). Operators are invented. As in the real files: powers
written in several ways, INSEE codes without their zero or missing, texts with line breaks, ``null`` and
``Non concerné``, and ``coordonneesXY`` with the latitude first.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingestion.sample.cog import load_places
from ingestion.sample.draws import Ints, Weights, draw, draw_by, rank_within
from ingestion.sample.files import Dialect, create
from ingestion.sample.streets import STREETS

STATIONS = 600  # at scale 1, in one file or the other
CHUNK = 10_000  # stations drawn at once
FILES = ("irve-2018.csv", "irve-2021.csv")
DIALECTS = (Dialect(separator=";", line_end="\r\n"), Dialect())
KEPT, CLOSED, OPENED = range(3)
_LIVES = {KEPT: 55, CLOSED: 10, OPENED: 35}
_POWERS = {37: 4, 74: 14, 110: 6, 220: 58, 500: 12, 1500: 6}  # tenths of kW
_POINTS: dict[bool, Weights] = {
    False: {1: 20, 2: 65, 3: 5, 4: 10},
    True: {2: 50, 4: 40, 8: 10},
}  # a station, by "is fast"


@dataclass(frozen=True, slots=True)
class Operator:
    """An invented operator; ``siren`` is its nine digits, with a right check digit."""

    name: str
    code: str
    siren: str
    brand: str

    @property
    def contact(self) -> str:
        """An address of the domain reserved for examples."""
        return f"contact@{self.code.lower()}.example"


def _siren(stem: int) -> str:
    """Add the check digit (Luhn) to eight digits."""
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(f"{stem:08d}"))]
    return f"{stem:08d}{-sum(d // 10 + d % 10 for d in doubled) % 10}"


OPERATORS = tuple(
    Operator(name, code, _siren(81_204_317 + 1_037_411 * n), brand)
    for n, (name, code, brand) in enumerate(
        (
            ("Bornéo Énergies", "BRN", "Bornéo"),
            ("Syndicat d'énergie des Trois Vallées", "STV", "TroisVolts"),
            ("Recharge Ouest", "RCO", "Ouest Recharge"),
            ("Voltigeur Mobilité", "VTG", "Voltigeur"),
            ("SIEL du Levant", "SLV", "Levant'Charge"),
            ("Électrôle Réseaux", "ELR", "Électrôle"),
            ("Parkings du Centre", "PDC", "Centre Park"),
            ("Autoroutes du Ponant", "ADP", "Ponant Express"),
            ("Grand Marché Distribution", "GMD", "Grand Marché"),
            ("Régie de Montfleuri", "RDM", "FleuriVolt"),
        )
    )
)
_OPERATOR_SHARES = dict(enumerate((26, 20, 14, 11, 9, 7, 5, 4, 3, 1)))


def write_irve(folder: Path, scale: float, seed: int) -> None:
    """Write the two versions of the consolidated file."""
    stations = max(3, round(STATIONS * scale))
    with ExitStack() as stack:
        files = [stack.enter_context(create(folder / name)) for name in FILES]
        for first in range(0, stations, CHUNK):
            points = draw_points(np.random.default_rng([seed, first]), first, min(CHUNK, stations - first))
            for file, dialect, layout in zip(files, DIALECTS, (as_of_2018, as_of_2021), strict=True):
                file.write(dialect.encode(layout(points), header=first == 0))


def draw_points(rng: np.random.Generator, first: int, size: int) -> pl.DataFrame:
    """Draw stations and repeat each for its points; one row a point."""
    stations = draw_stations(rng, first, size)
    counts = draw_by(rng, (stations["power"] >= 500).to_numpy(), _POINTS)
    points = stations[np.repeat(np.arange(size), counts)]
    return points.with_columns(
        points=pl.Series(np.repeat(counts, counts)), point=pl.Series(rank_within(counts) + 1)
    ).with_columns(_identifier("E", "point").alias("id_pdc"), _identifier("P").alias("id_station"))


def _identifier(kind: str, *more: str) -> pl.Expr:
    """AFIREV's form: country, operator, kind and place, number."""
    number = pl.col("station").cast(pl.String).str.zfill(5)
    ends = [pl.col(name).cast(pl.String) for name in more]
    return pl.concat_str([pl.lit("FR"), pl.col("code"), kind + pl.col("com"), number, *ends], separator="*")


def draw_stations(rng: np.random.Generator, first: int, size: int) -> pl.DataFrame:
    """Draw where each station is, whose, how strong, since when, and in which file it stands."""
    places = load_places()
    drawn = places.draw(rng, size)
    life, operator = draw(rng, size, _LIVES), draw(rng, size, _OPERATOR_SHARES)
    since_2018 = np.where(life == OPENED, np.datetime64("2018-10-01"), np.datetime64("2013-01-01"))
    span = np.where(life == OPENED, 1_000, 1_900)
    street = pl.Series(STREETS).gather(rng.integers(0, len(STREETS), size))
    return places.near(rng, drawn).with_columns(
        _operators(operator),
        station=pl.Series(np.arange(first, first + size)),
        town=places.names.gather(drawn),
        street=street,
        life=pl.Series(life),
        operator=pl.Series(operator),
        power=pl.Series(draw(rng, size, _POWERS)),
        opened=pl.Series(since_2018 + (rng.random(size) * span).astype("timedelta64[D]")),
        variant=pl.Series(rng.integers(0, 100, size)),
    )


def _operators(drawn: Ints) -> list[pl.Series]:
    """Return the columns that describe each station's operator."""
    fields = ("name", "code", "siren", "brand", "contact")
    return [pl.Series(name, [getattr(operator, name) for operator in OPERATORS]).gather(drawn) for name in fields]


def _kilowatts() -> pl.Expr:
    return (pl.col("power") / 10).cast(pl.String).str.strip_suffix(".0")


def _sockets() -> dict[str, pl.Expr]:
    """Which sockets a point has, after its power: E/F and type 2 when slow, CCS and CHAdeMO when fast."""
    power, variant = pl.col("power"), pl.col("variant")
    return {
        "ef": (power <= 220) & (variant < 70),
        "t2": ((power > 37) & (power < 500)) | ((power == 37) & (variant >= 70)),
        "ccs": power >= 500,
        "chademo": (power >= 500) & (variant < 60),
    }


def as_of_2018(points: pl.DataFrame) -> pl.DataFrame:
    """The layout of 2018-2020: 18 columns, free text for sockets, power, access and hours."""
    kw = _kilowatts()
    power = pl.when(pl.col("operator") == 1).then(kw.str.replace(".", ",", literal=True) + "kW").otherwise(
        pl.when(pl.col("operator") == 2).then(kw + " kW").otherwise(kw)
    )  # fmt: skip
    names = {"t2": "T2", "ef": "EF", "ccs": "COMBO", "chademo": "CHADEMO"}
    sockets = _sockets()
    listed = pl.concat_list([pl.when(sockets[key]).then(pl.lit(label)) for key, label in names.items()])
    insee = pl.when(pl.col("operator") == 3).then(pl.col("com").str.strip_chars_start("0")).otherwise("com")
    return points.filter(pl.col("life") != OPENED).select(
        n_amenageur="name",
        n_operateur="name",
        n_enseigne="brand",
        id_station="id_station",
        n_station=pl.col("town") + " - " + pl.col("street"),
        ad_station=pl.col("street") + ", " + pl.col("town"),
        code_insee=pl.when(pl.col("variant") == 0).then(pl.lit("-")).otherwise(insee),
        Xlongitude=pl.col("longitude").cast(pl.Decimal(10, 6)).cast(pl.String),
        Ylatitude=pl.col("latitude").cast(pl.Decimal(10, 6)).cast(pl.String),
        nbre_pdc=pl.col("points").cast(pl.String),
        id_pdc="id_pdc",
        puiss_max=power,
        type_prise=listed.list.drop_nulls().list.join(" - "),
        acces_recharge=pl.when(pl.col("variant") < 20).then(pl.lit("Gratuit")).otherwise(pl.lit("Payant")),
        accessibilité=pl.when(pl.col("variant") % 2 == 0).then(pl.lit("24/24 7/7 jours")).otherwise(pl.lit("24h/24")),
        observations=pl.when(pl.col("variant") == 1).then(pl.lit("Borne en service\nAccès par badge")),
        date_maj=pl.lit("2018/09/05"),
        source=pl.lit("https://www.data.gouv.fr/fr/datasets/irve-") + pl.col("code").str.to_lowercase() + "/",
    )


def as_of_2021(points: pl.DataFrame) -> pl.DataFrame:
    """Version 2 of etalab/schema-irve-statique: 41 columns, one boolean a socket."""
    coordinates = [pl.col(name).cast(pl.Decimal(10, 6)).cast(pl.String) for name in ("latitude", "longitude")]
    is_outside = pl.col("variant").is_between(2, 4) & (pl.col("life") == OPENED)  # not in AFIREV's register
    no_number = pl.lit("Non concerné")
    local = pl.concat_str(["code", "station", "point"], separator="-")
    is_free = pl.col("variant") < 15
    return points.filter(pl.col("life") != CLOSED).select(
        nom_amenageur="name",
        siren_amenageur="siren",
        contact_amenageur="contact",
        nom_operateur="name",
        contact_operateur="contact",
        telephone_operateur=pl.lit("0199000") + (pl.col("operator") + 100).cast(pl.String),  # kept for fiction (Arcep)
        nom_enseigne="brand",
        id_station_itinerance=pl.when(is_outside).then(no_number).otherwise("id_station"),
        id_station_local=pl.when(is_outside).then(local.str.replace(r"-\d+$", "")).otherwise(pl.lit("null")),
        nom_station="town",
        implantation_station=pl.when(pl.col("power") >= 500)
        .then(pl.lit("Station dédiée à la recharge rapide"))
        .otherwise(pl.when(pl.col("variant") < 80).then(pl.lit("Voirie")).otherwise(pl.lit("Parking public"))),
        adresse_station=pl.col("street") + ", " + pl.col("town"),
        code_insee_commune="com",
        coordonneesXY=pl.format("[{}, {}]", *coordinates),
        nbre_pdc=pl.col("points").cast(pl.String),
        id_pdc_itinerance=pl.when(is_outside).then(no_number).otherwise("id_pdc"),
        id_pdc_local=pl.when(is_outside).then(local).otherwise(pl.lit("null")),
        puissance_nominale=_kilowatts(),
        **_booleans(is_free),
        tarification=pl.when(is_free).then(pl.lit("gratuit")).otherwise(pl.lit("0,35 € par kWh")),
        condition_acces=pl.when(pl.col("variant") < 95).then(pl.lit("Accès libre")).otherwise(pl.lit("Accès réservé")),
        reservation=pl.lit("false"),
        horaires=pl.when(pl.col("variant") < 90).then(pl.lit("24/7")).otherwise(pl.lit("Mo-Sa 08:00-20:00")),
        accessibilite_pmr=pl.lit("Accessibilité inconnue"),
        restriction_gabarit=pl.lit("Aucune restriction"),
        station_deux_roues=pl.lit("false"),
        raccordement=pl.when(pl.col("variant") < 94).then(pl.lit("Direct")).otherwise(pl.lit("Indirect")),
        num_pdl=pl.when(pl.col("variant") < 5).then(pl.lit("null")).otherwise(_delivery_point()),
        date_mise_en_service=pl.col("opened").cast(pl.Date).dt.to_string("%Y-%m-%d"),
        observations=pl.lit("null"),
        date_maj=pl.lit("2021-06-02"),
        last_modified=pl.lit("2021-06-02T10:46:03.623000"),
        resource_id=pl.lit("00000000-0000-4000-8000-00000000000") + pl.col("operator").cast(pl.String),
    )


def _booleans(is_free: pl.Expr) -> dict[str, pl.Expr]:
    sockets = _sockets()
    shown = {
        "prise_type_ef": sockets["ef"],
        "prise_type_2": sockets["t2"],
        "prise_type_combo_ccs": sockets["ccs"],
        "prise_type_chademo": sockets["chademo"],
        "prise_type_autre": pl.col("variant") >= 98,
        "gratuit": is_free,
        "paiement_acte": is_free.not_(),
        "paiement_cb": is_free.not_() & (pl.col("variant") < 60),
        "paiement_autre": is_free.not_() & (pl.col("variant") >= 60),
    }
    return {name: value.cast(pl.String) for name, value in shown.items()}


def _delivery_point() -> pl.Expr:
    """Fourteen digits, as the grid operator numbers its meters."""
    return pl.lit("50") + (pl.col("station") + 17_867_531_067).cast(pl.String).str.zfill(12)

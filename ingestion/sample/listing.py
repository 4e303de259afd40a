"""What the sample portal says of each dataset: ids, titles, owners, and which file was published when.

Dataset ids, slugs, titles and owners are the real ones, so that the feeds find the sample as they find the real
portal; resource ids are made from slug and title.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

Json = dict[str, Any]

BAAC = "bases-de-donnees-annuelles-des-accidents-corporels-de-la-circulation-routiere"
COG = "code-officiel-geographique"
COMMUNE_POINTS = "communes-de-france-base-des-codes-postaux"
IRVE = "fichier-consolide-des-bornes-de-recharge-pour-vehicules-electriques"
HOLIDAYS = "jours-feries-en-france"
_MIMES = {"csv": "text/csv", "csv.gz": "application/gzip", "zip": "application/zip"}
_COG_2022 = "2018-02-20T08:00:00+00:00"  # the lists of 2022, dated so that they are there at any date of the demo


def list_datasets() -> list[Json]:
    """Return the entries of ``portal.json``."""
    return [_accidents(), _codes(), _charging_points(), _holidays(), _commune_points()]


def _version(slug: str, file: str, date: str, **changes: Any) -> Json:
    return {"date": date, "file": f"{slug}/{file}", **changes}


def _resource(slug: str, title: str, kind: str, *versions: Json, **more: Any) -> Json:
    identity = {"id": str(uuid5(NAMESPACE_URL, f"{slug}/{title}")), "title": title, "type": "main", "filetype": "file"}
    return {**identity, "format": kind, "mime": _MIMES.get(kind), **more, "versions": list(versions)}


def _owner(identifier: str, slug: str, name: str) -> Json:
    return {"id": identifier, "name": name, "slug": slug, "badges": ["public-service", "certified"]}


def _accidents() -> Json:
    return {
        "id": "53698f4ca3a729239d2036df",
        "slug": BAAC,
        "title": "Bases de données annuelles des accidents corporels de la circulation routière",
        "organization": _owner(
            "534fff91a3a7292c64a77f53",
            "ministere-de-linterieur-et-des-outre-mer",
            "Ministère de l'Intérieur et des Outre-Mer",
        ),
        "license": "lov2",
        "frequency": "annual",
        "tags": ["accident", "baac", "circulation-routiere"],
        "description": "Données d'exemple, inventées : la forme est celle des fichiers réels, les codes aussi.",
        "resources": [
            *_year(2018, "2019-11-05T14:0{}:00+00:00"),
            *_year(2019, "2020-10-21T09:1{}:00+00:00"),
            _notice(),
        ],
    }


def _year(year: int, moment: str) -> list[Json]:
    kinds = {"caracteristiques": "csv", "lieux": "csv", "vehicules": "csv", "usagers": "csv"}
    if year == 2018:
        kinds |= {"vehicules": "csv.gz", "usagers": "zip"}
    names = [(f"{table}-{year}.{kind}", kind) for table, kind in kinds.items()]
    return [
        _resource(BAAC, name, kind, _version(BAAC, f"{year}/{name}", moment.format(n)))
        for n, (name, kind) in enumerate(names)
    ]


def _notice() -> Json:
    """A documentation resource on another site: no feed takes it, and its link is dead, as many are."""
    return _resource(
        BAAC,
        "Description des bases de données annuelles (PDF)",
        "pdf",
        type="documentation",
        filetype="remote",
        url="/remote/www.onisr.securite-routiere.gouv.fr/description-des-bases-de-donnees-annuelles.pdf",
        created_at="2017-09-15T08:00:00+00:00",
    )


def _codes() -> Json:
    communes = "Liste des communes, arrondissements municipaux, communes déléguées et communes associées"
    titles = {"communes": communes, "departements": "Liste des départements", "regions": "Liste des régions"}
    # as on the portal, this one file stays on Insee's site: it has no checksum and no size
    url = "/remote/www.insee.fr/fr/statistiques/fichier/6051727/commune_2022.csv"
    remote = {"communes": {"filetype": "remote", "mime": None, "url": url}}
    return {
        "id": "58c984b088ee386cdb1261f3",
        "slug": COG,
        "title": "Code Officiel Géographique (COG)",
        "organization": _owner(
            "534fff81a3a7292c64a77e5c",
            "institut-national-de-la-statistique-et-des-etudes-economiques-insee",
            "Institut National de la Statistique et des Etudes Economiques (Insee)",
        ),
        "license": "fr-lo",
        "frequency": "annual",
        "tags": ["code-geographique", "decoupages-administratifs"],
        "resources": [
            _resource(COG, title, "csv", _version(COG, f"{name}.csv", _COG_2022), **remote.get(name, {}))
            for name, title in titles.items()
        ],
    }


def _charging_points() -> Json:
    schema = {"name": "etalab/schema-irve-statique", "url": None, "version": "2.0.0"}
    versions = (
        _version(IRVE, "irve-2018.csv", "2018-09-17T08:00:00+00:00"),
        _version(IRVE, "irve-2021.csv", "2021-09-06T08:00:00+00:00", schema=schema),
    )
    return {
        "id": "f723868c7979d0908ebfd874",
        "slug": IRVE,
        "title": "Fichier consolidé des bornes de recharge pour véhicules électriques",
        "organization": _owner("646b7187b50b2a93b1ae3d45", "data-gouv-fr", "data.gouv.fr"),
        "license": "lov2",
        "frequency": "daily",
        "tags": ["bornes-de-recharge", "irve", "mobilite", "vehicules-electriques"],
        "resources": [_resource(IRVE, "Fichier consolidé des IRVE", "csv", *versions)],
    }


def _holidays() -> Json:
    version = _version(HOLIDAYS, "jours-feries.csv", "2018-01-03T08:00:00+00:00")
    return {
        "id": "4bd23ef33367082ee1dcdcb5",
        "slug": HOLIDAYS,
        "title": "Jours fériés en France",
        "organization": _owner("534fff75a3a7292c64a77de4", "etalab", "Etalab"),
        "license": "lov2",
        "frequency": "annual",
        "tags": ["jours-feries"],
        "resources": [_resource(HOLIDAYS, "Jours fériés (CSV)", "csv", version)],
    }


def _commune_points() -> Json:
    version = _version(COMMUNE_POINTS, "communes-departement-region.csv", "2018-01-10T08:00:00+00:00")
    return {
        "id": "5ced14688b4c4114480ce688",
        "slug": COMMUNE_POINTS,
        "title": "Communes de France - Base des codes postaux",
        "organization": None,  # a person publishes it
        "license": "odc-odbl",
        "frequency": "unknown",
        "tags": ["code-postal", "communes"],
        "resources": [_resource(COMMUNE_POINTS, "communes-departement-region.csv", "csv", version)],
    }

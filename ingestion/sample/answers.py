"""The JSON a portal gives about its datasets at one moment, in the shapes of data.gouv.fr (udata).

Pure: takes the entries of ``portal.json`` and the base URL the client called, returns values. Shapes were compared
with recorded answers of the real portal; counts of views, reuses and followers are 0 here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

_NO_VALUE = (
    "acronym", "description_short", "frequency_date", "harvest", "owner", "spatial", "temporal_coverage", "schema",
    "access_type_reason", "access_type_reason_category", "authorization_request_url", "archived", "deleted",
)  # fmt: skip
_NO_ITEM = ("access_audiences", "badges", "contact_points", "tags")
_QUALITIES = (
    "all_resources_available", "dataset_description_quality", "has_open_format", "license", "spatial",
    "resources_documentation", "temporal_coverage", "update_frequency", "update_fulfilled_in_time",
)  # fmt: skip


def _formats(shape: Json) -> list[str]:
    return sorted({resource["format"] for resource in shape["resources"] if resource["format"]})


def _organizations(shape: Json) -> list[Json]:
    """The organization that owns a dataset, if it is no person."""
    return [shape["organization"]] if shape["organization"] else []


def _schemas(shape: Json) -> list[str]:
    return sorted({resource["schema"]["name"] for resource in shape["resources"] if resource["schema"]["name"]})


FACETS: dict[str, Callable[[Json], list[str]]] = {
    **dict.fromkeys(
        ("access_type", "badge", "format_family", "geozone", "granularity", "last_update", "producer_type", "topics"),
        lambda shape: [],
    ),
    "tag": lambda shape: list(shape["tags"]),
    "license": lambda shape: [shape["license"]],
    "format": _formats,
    "schema": _schemas,
    "organization_id_with_name": lambda shape: [f"{one['id']}|{one['name']}" for one in _organizations(shape)],
}


@dataclass(frozen=True, slots=True)
class Published:
    """A resource as it stands at the portal's moment: its metadata, its file, and where that is served."""

    meta: Json
    created_at: str
    changed_at: str
    path: str
    file: Path | None
    facts: Json = field(default_factory=dict)


class Publication:
    """What a folder publishes at one moment; without a date, everything in its newest version."""

    def __init__(self, entries: Iterable[Json], root: Path, as_of: date | None = None) -> None:
        end = datetime.combine(as_of, time.max, UTC) if as_of else datetime.max.replace(tzinfo=UTC)
        found = [(entry, _published_resources(entry, root, end)) for entry in entries]
        self._datasets = [(entry, resources) for entry, resources in found if resources]
        self.files = {r.path: r.file for _, resources in self._datasets for r in resources if r.file}

    def datasets(self, base: str) -> list[Json]:
        """Return every dataset's v1 shape, with URLs under ``base``."""
        return [_dataset_shape(entry, resources, base) for entry, resources in self._datasets]

    def dataset(self, key: str, base: str) -> Json | None:
        """Find a dataset by id or slug."""
        return next((s for s in self.datasets(base) if key in (s["id"], s["slug"])), None)

    def resource(self, rid: str, base: str) -> tuple[Json, str] | None:
        """Find a resource by id, with the id of its dataset."""
        owned = ((r, s["id"]) for s in self.datasets(base) for r in s["resources"])
        return next((found for found in owned if found[0]["id"] == rid.lower()), None)


def _published_resources(entry: Json, root: Path, end: datetime) -> list[Published]:
    found = (_publish(entry["slug"], meta, root, end) for meta in entry["resources"])
    return [resource for resource in found if resource]


def _publish(slug: str, meta: Json, root: Path, end: datetime) -> Published | None:
    """Take the newest version not later than ``end``; None before the first one."""
    versions = sorted(meta["versions"], key=lambda v: datetime.fromisoformat(v["date"]))
    created = meta.get("created_at") or versions[0]["date"]
    if datetime.fromisoformat(created) > end:
        return None
    past = [version for version in versions if datetime.fromisoformat(version["date"]) <= end]
    version: Json = past[-1] if past else {}
    merged = {key: v for key, v in {**meta, **version}.items() if key not in ("versions", "date", "file")}
    file = root / version["file"] if version else None
    is_hosted = file is not None and meta["filetype"] == "file"
    changed = version["date"] if is_hosted else created
    path = merged.get("url") or _hosted_path(slug, version)
    return Published(merged, created, changed, path, file, _file_facts(file) if file and is_hosted else {})


def _hosted_path(slug: str, version: Json) -> str:
    """The static host puts the moment of upload in the path: each version has its own URL."""
    moment = datetime.fromisoformat(version["date"])
    return f"/resources/{slug}/{moment:%Y%m%d-%H%M%S}/{quote(Path(version['file']).name)}"


def _file_facts(file: Path) -> Json:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.sha1(usedforsecurity=False))
    return {"filesize": file.stat().st_size, "checksum": {"type": "sha1", "value": digest.hexdigest()}}


def _resource_shape(resource: Published, base: str) -> Json:
    meta = resource.meta
    return {
        **dict.fromkeys(("description", "harvest", "mime", "filesize", "checksum", "preview_url")),
        "extras": {},
        **meta,
        **resource.facts,
        "created_at": resource.created_at,
        "internal": {"created_at_internal": resource.created_at, "last_modified_internal": resource.changed_at},
        "last_modified": resource.changed_at,
        "latest": f"{base}/api/1/datasets/r/{meta['id']}",
        "metrics": {"views": 0},
        "schema": meta.get("schema") or {"name": None, "url": None, "version": None},
        "url": base + resource.path,
    }


def _dataset_shape(entry: Json, resources: list[Published], base: str) -> Json:
    shapes = [_resource_shape(resource, base) for resource in resources]
    created, changed = min(r.created_at for r in resources), max(r.changed_at for r in resources)
    return {
        **dict.fromkeys(_NO_VALUE),
        **{name: [] for name in _NO_ITEM},
        "access_type": "open",
        "description": entry["title"],
        "extras": {},
        "featured": False,
        "private": False,
        "permissions": dict.fromkeys(("delete", "edit", "edit_resources"), False),
        **entry,
        "resources": shapes,
        "created_at": created,
        "internal": {"created_at_internal": created, "last_modified_internal": changed},
        "last_modified": changed,
        "last_update": changed,
        "metrics": dict.fromkeys(("discussions", "followers", "reuses", "views"), 0),
        "organization": entry["organization"] and _organization_shape(entry["organization"], base),
        "page": f"{base}/datasets/{entry['slug']}/",
        "uri": f"{base}/api/1/datasets/{entry['slug']}/",
        "quality": {**dict.fromkeys(_QUALITIES, True), "has_resources": True, "score": 1.0},
    }


def _organization_shape(owner: Json, base: str) -> Json:
    return {
        **dict.fromkeys(("acronym", "logo", "logo_thumbnail")),
        "class": "Organization",
        **owner,
        "badges": [{"kind": kind} for kind in owner["badges"]],
        "page": f"{base}/organizations/{owner['slug']}/",
        "uri": f"{base}/api/1/organizations/{owner['slug']}/",
        "permissions": dict.fromkeys(("delete", "edit", "harvest", "members", "private"), False),
    }


def as_v2(shape: Json, base: str) -> Json:
    """Return the v2 shape of a dataset: its lists become links."""
    link = {"rel": "subsection", "type": "GET"}
    resources = f"{base}/api/2/datasets/{shape['id']}/resources/?page=1&page_size=50"
    community = f"{base}/api/1/datasets/community_resources/?dataset={shape['id']}&page=1&page_size=50"
    return {
        **{key: value for key, value in shape.items() if key != "schema"},
        "resources": {**link, "href": resources, "total": len(shape["resources"])},
        "community_resources": {**link, "href": community, "total": 0},
    }


def count_facets(shapes: list[Json]) -> dict[str, list[Json]]:
    """Count the values of each facet, most common first, after the count of all."""
    return {
        name: [
            {"name": "all", "count": len(shapes)},
            *({"name": v, "count": n} for v, n in Counter(v for s in shapes for v in values(s)).most_common()),
        ]
        for name, values in FACETS.items()
    }


def select_datasets(shapes: Iterable[Json], wanted: list[tuple[str, str]], searched: tuple[str, ...]) -> list[Json]:
    """Keep the datasets that pass every filter and hold every word of ``q`` in the fields ``searched``."""
    words = [word for name, value in wanted if name == "q" for word in _plain(value).split()]
    filters = [(FACETS[name], value) for name, value in wanted if name in FACETS and value]
    owners = [value for name, value in wanted if name == "organization" and value]
    return [
        shape
        for shape in shapes
        if all(word in _plain(str([shape[name] for name in searched])) for word in words)
        and all(value in values(shape) for values, value in filters)
        and all(owner in [one["id"] for one in _organizations(shape)] for owner in owners)
    ]


def sort_datasets(shapes: list[Json], sort: str) -> list[Json]:
    """Sort by ``created``, ``last_update`` or ``title``; a leading minus reverses."""
    key = {"created": "created_at"}.get(sort.removeprefix("-"), sort.removeprefix("-"))
    return sorted(shapes, key=lambda s: (s[key], s["id"]), reverse=sort.startswith("-"))


def _plain(text: str) -> str:
    """Lower-case without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()


def parse_mask(text: str) -> Json:
    """Read an ``X-Fields`` mask: ``a,b{c}`` gives ``{"a": {}, "b": {"c": {}}}``; outer braces are optional.

    Raises:
        ValueError: the braces do not match.
    """
    root: Json = {}
    levels, last = [root], root
    for part in re.findall(r"[\w:*-]+|[{}]", text):
        if part == "{":
            levels.append(last)
        elif part == "}":
            levels.pop()
        else:
            last = levels[-1].setdefault(part, {})
        if not levels:
            break
    if len(levels) != 1:
        raise ValueError(f"Mask parse error: {text}")
    return root


def apply_mask(data: Any, mask: Json) -> Any:
    """Keep the fields a mask names, at every depth; an empty mask keeps all, ``*`` keeps the others too."""
    if isinstance(data, list):
        return [apply_mask(item, mask) for item in data]
    if not mask or not isinstance(data, dict):
        return data
    kept = {name: apply_mask(data[name], inner) for name, inner in mask.items() if name in data}
    return {**data, **kept} if "*" in mask else kept

"""Table Schemas of schema.data.gouv.fr: which one a resource declares, and a local copy of it on the lake's shelf.

The shelf is ``<lake>/schemas/<name>/<version>/schema.json``. A file that is there is never fetched again, so a feed may
bring its own; what the rows are checked for is decided in ``catalog.contracts``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from catalog.errors import OdhError, Refused
from catalog.feed import Feed
from catalog.settings import Settings
from ingestion.courtesy import Hosts
from ingestion.download import Downloader
from ingestion.partial import Partials
from ingestion.portal import Resource

LATEST = "latest"
FILE = "schema.json"
MAX_BYTES = 4 << 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

log = structlog.get_logger()


class _Version(BaseModel):
    version_name: str
    schema_url: str


class _Listed(BaseModel):
    """What the catalogue of schemas tells of one."""

    name: str
    schema_type: str | None = None
    schema_url: str | None = None  # of its latest version
    versions: list[_Version] = []


class _Catalogue(BaseModel):
    schemas: list[_Listed]


class SchemaShelf:
    """Finds and keeps the Table Schemas of one run."""

    def __init__(self, settings: Settings, hosts: Hosts | None = None) -> None:
        self.folder, self.catalogue_url = settings.table_schemas, settings.schemas_url
        self.scratch = settings.scratch
        limits = {"http_retries": 0, "download_max_bytes": MAX_BYTES}  # a schema is a help, not worth a long wait
        kept = Partials(
            settings.partial, settings.download_max_bytes
        )  # else what is kept of data would go by our limit
        self.downloader = Downloader(settings.model_copy(update=limits), partials=kept, hosts=hosts)
        self._answers: dict[str, dict[str, str]] = {}
        self._catalogue: _Catalogue | OdhError | None = None

    def facts(self, feed: Feed, portal: Mapping[str, Any]) -> dict[str, str]:
        """Where the schema of a resource is: facts of its load, empty when it declares none.

        ``table_schema`` is a path on the shelf; ``table_schema_problem`` says why there is none to check against. A
        schema that cannot be had stops nothing.
        """
        declared = portal.get("schema")
        declared = declared if isinstance(declared, Mapping) else {}
        name, url, version = (str(declared.get(key) or "") for key in ("name", "url", "version"))
        wanted = feed.table_schema or " ".join(filter(None, (name, version, url)))
        if not wanted:
            return {}
        if wanted not in self._answers:
            try:
                self._answers[wanted] = {"table_schema": self._find(feed.table_schema, name, url, version)}
            except OdhError as error:
                log.warning("table_schema_not_found", feed=feed.feed, schema=wanted, reason=str(error))
                self._answers[wanted] = {"table_schema_problem": f"{wanted}: {error}"}
        return self._answers[wanted]

    def _find(self, own: str | None, name: str, url: str, version: str) -> str:
        if own and not own.startswith(("http://", "https://")):
            if not (self.folder / own).resolve().is_relative_to(self.folder) or not (self.folder / own).is_file():
                raise Refused(f"there is no file {own} in {self.folder}; put it there or correct 'table_schema'.")
            return own
        if own or not name:
            return self._keep(own or url, f"by_url/{hashlib.sha256((own or url).encode()).hexdigest()[:16]}/{FILE}")
        if not PLAIN_NAME.fullmatch(name) or (version and not PLAIN_NAME.fullmatch(version)):
            raise Refused(f"{name!r} {version!r} is no name of a schema.")
        place = f"{name}/{version or LATEST}/{FILE}"
        return place if (self.folder / place).is_file() else self._keep(url or self._listed(name, version), place)

    def _listed(self, name: str, version: str) -> str:
        """The address the catalogue gives for a version; for none, its latest."""
        found = next((schema for schema in self._read_catalogue().schemas if schema.name == name), None)
        if found is None:
            raise Refused(f"{self.catalogue_url} lists no schema of this name.")
        if found.schema_type not in (None, "tableschema"):
            raise Refused(f"it is a {found.schema_type}, not a Table Schema: rows are not checked against it.")
        named = {v.version_name.removeprefix("v"): v.schema_url for v in found.versions}
        address = named.get(version.removeprefix("v")) if version else found.schema_url
        if not address:
            raise Refused(f"{self.catalogue_url} lists no version {version or LATEST} of it.")
        return address

    def _read_catalogue(self) -> _Catalogue:
        if self._catalogue is None:
            try:
                self._catalogue = _Catalogue.model_validate_json(self._fetch(self.catalogue_url))
            except ValidationError as error:
                self._catalogue = Refused(
                    f"{self.catalogue_url} is no catalogue of schemas: {error.errors()[0]['msg']}."
                )
            except OdhError as error:
                self._catalogue = error
        if isinstance(self._catalogue, OdhError):
            raise self._catalogue
        return self._catalogue

    def _keep(self, url: str, place: str) -> str:
        """Fetch a schema onto the shelf; one that is there already is not asked for again."""
        target = self.folder / place
        if target.is_file():
            return place
        content = self._fetch(url)
        try:
            is_schema = isinstance(json.loads(content).get("fields"), list)
        except (ValueError, AttributeError):
            is_schema = False
        if not is_schema:
            raise Refused(f"{url} is no Table Schema: it has no list 'fields'.")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(content)
        part.replace(target)
        return place

    def _fetch(self, url: str) -> bytes:
        asked = Resource(url, url, url, "json", None, "remote", FILE, None, None, None, {})
        download = self.downloader.fetch(asked, self.scratch / "schemas")
        if download is None:
            raise Refused(f"{url} gave nothing.")
        content: bytes = Path(download.path).read_bytes()
        download.path.unlink()
        return content

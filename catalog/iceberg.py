"""The Iceberg catalogue and its tables; with ``iceberg_files``, the only modules that import pyiceberg.

Bronze tables grow by whole files of text columns; silver and gold tables are replaced whole, on a branch that only
becomes ``main`` when a release is published.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import And, EqualTo
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.update import AssertTableUUID, SetCurrentSchemaUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    DateType,
    IcebergType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from catalog.errors import InvalidSettings, UnknownName
from catalog.iceberg_schema import evolve
from catalog.settings import Settings
from catalog.storage import Store, warehouse_store

FieldIds = dict[str, "int | FieldIds"]
BRONZE, SILVER, GOLD = LAYERS = ("bronze", "silver", "gold")
STAGING = "staging"  # the branch a release is written on before it is published
LINEAGE: dict[str, IcebergType] = {
    "_resource_id": StringType(),
    "_extraction_date": DateType(),
    "_source_file": StringType(),
    "_source_member": StringType(),
    "_source_line": LongType(),
    "_loaded_at": TimestamptzType(),
}
LINEAGE_DOCS = {
    "_resource_id": "Portal's id of the resource the row came from.",
    "_extraction_date": "Day the file was extracted; partition of the table.",
    "_source_file": "Name of the raw file.",
    "_source_member": "Member of an archive; null for a plain file.",
    "_source_line": "Line, from 1, where the record starts in the decompressed file (its number, for JSON).",
    "_loaded_at": "When the row entered bronze.",
}
SOURCES_PROPERTY = "odh.sources"  # snapshot summary: JSON list of {resource_id, file, sha256}
SAME_AS = "odh.same-as"  # snapshot summary: the snapshot whose very rows this one holds in other files
COMMENT_PROPERTY = "comment"  # what a table is for; the name Spark and Trino use
TABLE_PROPERTIES = {
    "write.parquet.compression-codec": "zstd",
    "write.metadata.previous-versions-max": "10",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
}


@dataclass(frozen=True, slots=True)
class Pin:
    """One table at one snapshot, all a reader needs; ``snapshot_id`` is None for a table never written."""

    layer: str
    name: str
    metadata_location: str
    snapshot_id: int | None
    content_id: int | None = field(default=None, compare=False)  # the snapshot that brought its rows, where known


class Lakehouse:
    """The Iceberg catalogue of one lake."""

    def __init__(self, settings: Settings) -> None:
        self.store: Store = warehouse_store(settings)
        self.catalog: SqlCatalog = _open_catalog(settings)
        for layer in LAYERS:
            try:
                self.catalog.create_namespace_if_not_exists(layer)
            except (NamespaceAlreadyExistsError, sa.exc.IntegrityError):  # another process made it meanwhile
                continue

    def close(self) -> None:
        """Close the catalogue's connections."""
        self.catalog.close()

    def names(self, layer: str) -> list[str]:
        """Names of a layer's tables."""
        return sorted(name for _, name in self.catalog.list_tables(layer))

    def table(self, layer: str, name: str) -> Table:
        """One table.

        Raises:
            UnknownName: with the nearest table of the layer.
        """
        try:
            return self.catalog.load_table((layer, name))
        except NoSuchTableError as error:
            raise UnknownName(f"{layer} table", name, self.names(layer)) from error

    def pin(self, layer: str, name: str) -> Pin | None:
        """The present snapshot of a table, or None when there is no such table."""
        try:
            return _pin(layer, name, self.catalog.load_table((layer, name)))
        except NoSuchTableError:
            return None

    def location(self, layer: str, name: str) -> str | None:
        """Where a table's present metadata is, by the catalogue alone, whose word is cheap; None for no such table."""
        known = IcebergTables
        mine = (known.catalog_name == self.catalog.name, known.table_namespace == layer, known.table_name == name)
        with self.catalog.engine.connect() as connection:
            return connection.scalar(sa.select(known.metadata_location).where(*mine))

    def has_snapshot(self, pin: Pin) -> bool:
        """Whether a table still has a snapshot."""
        return (
            pin.snapshot_id is not None and self.table(pin.layer, pin.name).snapshot_by_id(pin.snapshot_id) is not None
        )

    def totals(self, pin: Pin | None) -> dict[str, int]:
        """Rows, data files and bytes of a table at a snapshot, from its summary."""
        table = self.table(pin.layer, pin.name) if pin else None
        snapshot = table.snapshot_by_id(pin.snapshot_id) if table and pin and pin.snapshot_id is not None else None
        summary = snapshot.summary if snapshot else None
        keys = {"rows": "total-records", "files": "total-data-files", "bytes": "total-files-size"}
        return {name: int((summary[key] if summary else None) or 0) for name, key in keys.items()}

    def describe(self, pin: Pin) -> tuple[str | None, dict[str, str]]:
        """What a table is for, and the docs of its columns as they were at a snapshot."""
        table = self.table(pin.layer, pin.name)
        docs = {field.name: field.doc for field in _schema_at(table, pin).fields if field.doc}
        return table.properties.get(COMMENT_PROPERTY), docs

    def arrow_columns(self, pin: Pin) -> pa.Schema:
        """The columns of a table at a snapshot."""
        columns: pa.Schema = _schema_at(self.table(pin.layer, pin.name), pin).as_arrow()
        return pa.schema([field.remove_metadata() for field in columns])

    # Bronze

    def ensure_bronze(self, name: str, columns: Mapping[str, str]) -> Table:
        """Create a bronze table, or give it the columns it lacks.

        Args:
            columns: text columns and their docs, in order; nothing is ever dropped or renamed.
        """
        try:
            table = self.catalog.load_table((BRONZE, name))
        except NoSuchTableError:
            return self._create_bronze(name, columns)
        known = {field.name for field in table.schema().fields}
        if missing := [column for column in columns if column not in known]:
            with table.update_schema() as update:
                for column in missing:
                    update.add_column(column, StringType(), doc=columns[column] or None)
                    update.move_before(column, next(iter(LINEAGE)))
        return table

    def pin_bronze(self, name: str, columns: Iterable[str]) -> Pin:
        """The present snapshot of a bronze table, made if need be so that models find its declared columns."""
        return _pin(BRONZE, name, self.ensure_bronze(name, dict.fromkeys(columns, "")))

    def headers(self, pin: Pin) -> dict[str, str]:
        """The published columns of a bronze table at a snapshot and their headers, empty where the file has none."""
        fields = _schema_at(self.table(pin.layer, pin.name), pin).fields
        return {field.name: field.doc or "" for field in fields if field.name not in LINEAGE}

    def _create_bronze(self, name: str, columns: Mapping[str, str]) -> Table:
        types: list[tuple[str, IcebergType, str]] = [(column, StringType(), doc) for column, doc in columns.items()]
        types += [(column, type_, LINEAGE_DOCS[column]) for column, type_ in LINEAGE.items()]
        fields = [
            NestedField(number, column, type_, required=False, doc=doc or None)
            for number, (column, type_, doc) in enumerate(types, start=1)
        ]
        schema = Schema(*fields)
        day = schema.find_field("_extraction_date")
        spec = PartitionSpec(PartitionField(day.field_id, 1000, IdentityTransform(), "_extraction_date"))
        try:
            return self.catalog.create_table((BRONZE, name), schema, partition_spec=spec, properties=TABLE_PROPERTIES)
        except TableAlreadyExistsError:
            return self.ensure_bronze(name, columns)

    def resources_held(self, table: Table, extraction_date: date) -> set[str]:
        """Resources of which a bronze table already has rows of one extraction."""
        same_day = EqualTo(term="_extraction_date", value=extraction_date.isoformat())
        found = table.scan(row_filter=same_day, selected_fields=("_resource_id",)).to_arrow_batch_reader()
        return {value for batch in found for value in batch.column("_resource_id").unique().to_pylist()}

    def sample_values(self, name: str, resource_id: str, extraction_date: date, limit: int, column: str) -> set[str]:
        """Distinct texts of a bronze column among some rows of one resource's extraction, a null as the empty text."""
        same_day = EqualTo(term="_extraction_date", value=extraction_date.isoformat())
        mine = And(EqualTo(term="_resource_id", value=resource_id), same_day)
        scan = self.table(BRONZE, name).scan(row_filter=mine, selected_fields=(column,), limit=limit)
        return {value or "" for value in scan.to_arrow().column(column).unique().to_pylist()}

    def append_files(self, table: Table, files: Sequence[Path], folder: str, summary: Mapping[str, str]) -> int | None:
        """Move finished parquet files into a table in one commit and return its snapshot.

        Args:
            files: local files written with the field ids of ``arrow_schema``.
            folder: folder under the table's data, such as the extraction date.
            summary: facts kept in the snapshot's summary.
        """
        places = [self.place_file(table, file, folder) for file in files]
        if places:
            with table.transaction() as transaction:
                transaction.add_files(places, snapshot_properties=dict(summary), check_duplicate_files=False)
        snapshot = table.current_snapshot()
        return snapshot.snapshot_id if snapshot else None

    # Silver and gold

    def stage_table(
        self,
        layer: str,
        name: str,
        schema: pa.Schema,
        docs: Mapping[str, str],
        description: str = "",
        base: int | None = None,
    ) -> Table:
        """Make or evolve a table so that it has exactly this schema, with a staging branch to write on.

        Args:
            base: snapshot the branch begins with; ``main`` if none is given.
        """
        try:
            table = self.catalog.load_table((layer, name))
        except NoSuchTableError:
            table = self.catalog.create_table((layer, name), schema, properties=TABLE_PROPERTIES)
        evolve(table, schema, docs)
        if description and table.properties.get(COMMENT_PROPERTY) != description:
            with table.transaction() as transaction:
                transaction.set_properties({COMMENT_PROPERTY: description})
        main = table.current_snapshot()
        if main is None:  # pyiceberg branches off a snapshot only
            table.append(table.schema().as_arrow().empty_table())
            main = table.current_snapshot()
        with table.manage_snapshots() as refs:
            if STAGING in table.metadata.refs:
                refs.remove_branch(STAGING)
        with table.manage_snapshots() as refs:
            refs.create_branch(base or (main.snapshot_id if main else -1), STAGING)
        return table

    def publish(self, pin: Pin, tag: str, *, moves_main: bool = True) -> None:
        """Tag a staged snapshot and make it ``main``; nothing to do where both is so already.

        Args:
            moves_main: false for a snapshot of a day gone by, which gets its tag only.
        """
        table = self.table(pin.layer, pin.name)
        main = table.current_snapshot()
        tagged = {ref.snapshot_id for ref in table.metadata.refs.values() if ref.snapshot_ref_type == "tag"}
        is_main = main is not None and main.snapshot_id == pin.snapshot_id
        if pin.snapshot_id is None or (is_main if moves_main else pin.snapshot_id in tagged):
            self.show_schema_of_main(table)  # a crash may have come in between
            return
        with table.manage_snapshots() as refs:
            if moves_main:
                refs.set_current_snapshot(snapshot_id=pin.snapshot_id)
            if pin.snapshot_id not in tagged:
                refs.create_tag(pin.snapshot_id, tag)
            if STAGING in table.metadata.refs:
                refs.remove_branch(STAGING)
        self.show_schema_of_main(table)

    def show_schema_of_main(self, table: Table) -> None:
        """Let a table's schema be that of ``main`` again, where another was staged or an older became ``main``.

        Engines read ``main`` by the table's schema: else they would see the columns of what was never published.
        """
        main = table.current_snapshot()
        if main and main.schema_id is not None and main.schema_id != table.metadata.current_schema_id:
            unmoved = AssertTableUUID(uuid=table.metadata.table_uuid)
            self.catalog.commit_table(table, (unmoved,), (SetCurrentSchemaUpdate(schema_id=main.schema_id),))

    def place_file(self, table: Table, file: Path, folder: str) -> str:
        """Move a file under the table's data, by a name never used before (DuckDB caches files by path)."""
        layer, name = table.name()
        key = f"{layer}/{name}/data/{folder}/{file.stem}-{uuid.uuid4().hex}.parquet"
        self.store.put_file(file, key)
        return self.store.url(key) if self.store.is_remote else f"file://{self.store.url(key)}"


def arrow_schema(table: Table, columns: Iterable[str]) -> pa.Schema:
    """Arrow schema of some columns of a table, with the Iceberg field ids a parquet file must carry."""
    whole = table.schema().as_arrow()
    return pa.schema([whole.field(column) for column in columns])


def field_ids(table: Table, pin: Pin | None = None) -> FieldIds:
    """Iceberg field id of each column, now or as they were at a snapshot.

    A column with parts has theirs too, in the form DuckDB's COPY takes.
    """
    found = _schema_at(table, pin) if pin else table.schema()
    return {field.name: _ids_of(field) for field in found.fields}


def _ids_of(field: NestedField) -> int | FieldIds:
    """A field id, with those of its parts: without them, readers find nothing in a list or a struct."""
    match field.field_type:
        case StructType(fields=parts):
            named = {part.name: part for part in parts}
        case ListType(element_field=element):
            named = {"element": element}
        case MapType(key_field=key, value_field=value):
            named = {"key": key, "value": value}
        case _:
            return field.field_id
    return {"__duckdb_field_id": field.field_id, **{name: _ids_of(part) for name, part in named.items()}}


def _pin(layer: str, name: str, table: Table) -> Pin:
    snapshot = table.current_snapshot()
    present = snapshot.snapshot_id if snapshot else None
    return Pin(layer, name, table.metadata_location, present, content_id(table, present))


def content_id(table: Table, snapshot_id: int | None) -> int | None:
    """The snapshot that brought the rows a snapshot holds: itself, or the one it was rewritten from."""
    snapshot = table.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
    rewritten = snapshot.summary.get(SAME_AS) if snapshot and snapshot.summary else None
    return int(rewritten) if rewritten else snapshot_id


def _schema_at(table: Table, pin: Pin) -> Schema:
    snapshot = table.snapshot_by_id(pin.snapshot_id) if pin.snapshot_id is not None else None
    written = snapshot.schema_id if snapshot else None
    return table.schemas()[written] if written is not None else table.schema()


def _open_catalog(settings: Settings) -> SqlCatalog:
    root = settings.warehouse_root
    remote = "://" in root
    if remote:  # many S3 servers refuse the checksums newer clients add by default, and Arrow takes no argument for it
        os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    if not remote and set(root) & set('#?"'):
        raise InvalidSettings(
            f'The path {root!r} holds #, ? or ", which Iceberg reads otherwise; choose another ODH_LAKE.'
        )
    if not remote:
        Path(root).mkdir(parents=True, exist_ok=True)
    if settings.catalog_url is None:
        settings.lake.mkdir(parents=True, exist_ok=True)
    secret = settings.s3_secret_access_key
    s3 = {
        "s3.endpoint": settings.s3_endpoint,
        "s3.region": settings.s3_region,
        "s3.access-key-id": settings.s3_access_key_id,
        "s3.secret-access-key": secret.get_secret_value() if secret else None,
    }
    properties = {key: value for key, value in s3.items() if value} if remote else {}
    properties |= {"uri": settings.catalog_database, "warehouse": root if remote else f"file://{root}"}
    for _ in range(2):  # of two processes that make its two tables at once, one finds each there
        with suppress(sa.exc.DBAPIError):
            return SqlCatalog("odh", **properties)
    return SqlCatalog("odh", **properties)

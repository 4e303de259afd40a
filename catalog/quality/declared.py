"""Which gold models are kept as snapshots, as the YAML beside them says: ``meta: {snapshot: {keys: [...]}}``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import UsageError
from catalog.feed import Name
from catalog.settings import Settings


class SnapshotSpec(BaseModel):
    """What ``meta.snapshot`` of a model says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[list[str], Field(min_length=1)]  # columns no two rows of one day share
    series: Name | None = None  # name of the snapshots' table but for its ending; the model's, unless given


class SnapshotModel(BaseModel):
    """A gold model that is kept as snapshots."""

    model_config = ConfigDict(frozen=True)

    model: str
    keys: tuple[str, ...]
    series: str

    @property
    def table(self) -> str:
        """The gold table that holds its snapshots."""
        return f"{self.series}_snapshots"


def snapshot_models(settings: Settings) -> dict[str, SnapshotModel]:
    """The models that are kept as snapshots, by name.

    Raises:
        UsageError: what a model says of its snapshots is malformed, with the file.
    """
    found: dict[str, SnapshotModel] = {}
    for path in sorted((settings.dbt_project / "models").rglob("*.yml")):
        for name, told in _told(path):
            try:
                spec = SnapshotSpec.model_validate(told)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in ("meta.snapshot", *first["loc"]))
                raise UsageError(f"{path}, model {name}, {place}: {first['msg']}.") from error
            found[name] = SnapshotModel(model=name, keys=tuple(spec.keys), series=spec.series or name)
    return found


def _told(path: Path) -> Iterator[tuple[str, Any]]:
    """What a YAML file says of the snapshots of its models."""
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {error}") from error
    for model in content.get("models") or ():
        meta = (model.get("config") or {}).get("meta") or model.get("meta") or {}
        if "snapshot" in meta:
            yield model["name"], meta["snapshot"]

"""Write a whole sample of data.gouv.fr into a folder: files under ``datasets/<slug>/`` and ``portal.json``.

Owns the folder and its completeness. The rows are invented, the code lists real; the same scale and seed give the
same bytes. ``lieux-2019.csv`` holds two ragged lines on purpose (see ``baac``), so that a run shows rejected rows.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from catalog.errors import UsageError
from ingestion.sample.baac import write_baac
from ingestion.sample.cog import write_cog
from ingestion.sample.commune_points import write_commune_points
from ingestion.sample.holidays import write_holidays
from ingestion.sample.irve import write_irve
from ingestion.sample.listing import BAAC, COG, COMMUNE_POINTS, HOLIDAYS, IRVE, list_datasets
from ingestion.sample.wide import write_wide_csv

__all__ = ["ensure_sample", "write_sample", "write_wide_csv"]

MARKER = ".sample"


def write_sample(folder: Path, *, scale: float = 1.0, seed: int = 0) -> None:
    """Write the sample; scale 1 is 4,200 accidents with 22,000 places, vehicles, people, and 2,100 charging points.

    Files are dated as they were published, so that the portal's ``Last-Modified`` tells the truth.
    """
    datasets, entries = folder / "datasets", list_datasets()
    write_baac(datasets / BAAC, scale, seed)
    write_cog(datasets / COG)
    write_irve(datasets / IRVE, scale, seed)
    write_holidays(datasets / HOLIDAYS)
    write_commune_points(datasets / COMMUNE_POINTS)
    _date_files(datasets, entries)
    text = json.dumps({"datasets": entries}, ensure_ascii=False, indent=1)
    (folder / "portal.json").write_text(text + "\n", encoding="utf-8")


def _date_files(datasets: Path, entries: list[dict[str, Any]]) -> None:
    for version in (v for entry in entries for resource in entry["resources"] for v in resource["versions"]):
        moment = datetime.fromisoformat(version["date"]).timestamp()
        os.utime(datasets / version["file"], (moment, moment))


def ensure_sample(folder: Path, *, scale: float = 1.0, seed: int = 0) -> bool:
    """Write the sample unless this very one is there; say whether it was written.

    It is written aside and moved into place, so a folder is complete or absent. A sample of another scale, seed or
    version of this code is replaced.

    Raises:
        UsageError: the folder holds something else.
    """
    wanted, marker = _fingerprint(scale, seed), folder / MARKER
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return False
    if folder.exists() and not marker.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not a sample made by this command: give --data an empty or a new folder.")
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write_sample(draft, scale=scale, seed=seed)
    (draft / MARKER).write_text(wanted, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    draft.rename(folder)
    return True


def _fingerprint(scale: float, seed: int) -> str:
    """Name a sample by its scale, its seed and the code and lists that make it."""
    here = Path(__file__).parent
    made_by = sha256(b"".join(path.read_bytes() for path in sorted([*here.glob("*.py"), *here.glob("codes/*.csv")])))
    return f"scale {scale:g} seed {seed} made by {made_by.hexdigest()}\n"

"""Where a run comes from, when a scheduler started it; light to import, for DAGs do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The task of a scheduler that a run is the work of, with its page there."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int  # -1 for a task that is not mapped
    try_number: int  # from 1
    max_tries: int  # tries after the first
    task_url: str

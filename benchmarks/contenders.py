"""One contender, in a process of its own, from CSV to parquet: `python -m benchmarks.contenders NAME ENCODING IN OUT`.

Each does what its users do: every cell as text, a zstd parquet, no more. Ours alone checks every record's width,
numbers the lines and writes the lineage. Prints one line of JSON: seconds of the work without imports, on the
clock and of the processors, peak memory of the process, rows found in what was written.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Work = Callable[[], None]  # imports are done before the clock starts
Contender = Callable[[list[Path], str, Path], Work]


def odh(files: list[Path], encoding: str, out: Path) -> Work:
    """Decode and write as `odh sync` does; the encoding is not told."""
    from datetime import UTC, datetime

    import pyarrow as pa

    from ingestion.decode import DecodedTable, decode
    from ingestion.lineage import Lineage
    from ingestion.parquet import BronzeFiles

    lineage = {
        "_resource_id": pa.large_string(),
        "_extraction_date": pa.date32(),
        "_source_file": pa.large_string(),
        "_source_member": pa.large_string(),
        "_source_line": pa.int64(),
        "_loaded_at": pa.timestamp("us", "UTC"),
    }

    def schema_of(columns: Sequence[str]) -> pa.Schema:
        return pa.schema(
            [
                pa.field(name, lineage.get(name, pa.large_string()), metadata={"PARQUET:field_id": str(number)})
                for number, name in enumerate(columns, start=1)
            ]
        )

    def work() -> None:
        now = datetime.now(UTC)
        written = BronzeFiles(out, schema_of)
        for path in files:
            for table in decode(path, file_name=path.name, declared_format="csv", scratch=out / "scratch"):
                if not isinstance(table, DecodedTable) or table.rejects:
                    raise SystemExit(f"{path} was not read whole.")
                frame = Lineage(path.stem, now.date(), path.name, now).frame_of(table)
                written.add(frame, [*table.columns, *lineage], table.rows)
        written.close()

    return work


def duckdb(files: list[Path], encoding: str, out: Path) -> Work:
    """COPY; all files in one statement. Its latin-1 stands for cp1252, which it cannot read by itself."""
    import duckdb

    listed = ", ".join(f"'{path}'" for path in files)
    name = "utf-8" if encoding == "utf-8" else "latin-1"
    source = f"read_csv([{listed}], all_varchar = true, encoding = '{name}')"
    copy = f"copy (from {source}) to '{out}/all.parquet' (format parquet, compression zstd)"
    return lambda: duckdb.connect().execute(copy) and None


def pandas(files: list[Path], encoding: str, out: Path) -> Work:
    """read_csv of everything, then to_parquet."""
    import pandas

    def work() -> None:
        frames = [pandas.read_csv(path, sep=";", dtype=str, keep_default_na=False, encoding=encoding) for path in files]
        frame = frames[0] if len(frames) == 1 else pandas.concat(frames)
        frame.to_parquet(out / "all.parquet", compression="zstd", index=False)

    return work


def dlt(files: list[Path], encoding: str, out: Path) -> Work:
    """Arrow batches that its user reads by pyarrow: the fastest road of dlt."""
    import pyarrow as pa
    import pyarrow.csv as pc

    def batches() -> object:
        for path in files:
            with path.open(encoding=encoding) as file:
                names = file.readline().strip().split(";")
            with pc.open_csv(
                path,
                read_options=pc.ReadOptions(encoding=encoding, block_size=16 << 20),
                parse_options=pc.ParseOptions(delimiter=";"),
                convert_options=pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            ) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])

    return _pipeline(lambda dlt: dlt.resource(batches, name="wide"), out)


def dlt_reader(files: list[Path], encoding: str, out: Path) -> Work:
    """The CSV reader of dlt that gives Arrow batches, of as many rows as suit it best (5,000 is its own choice).

    It reads UTF-8 only.
    """
    from dlt.sources.filesystem import filesystem, read_csv_duckdb

    options = {"use_pyarrow": True, "chunk_size": 100_000, "sep": ";", "all_varchar": True, "encoding": encoding}
    found = filesystem(bucket_url=files[0].parent.as_uri(), file_glob="*.csv" if len(files) > 1 else files[0].name)
    return _pipeline(lambda _: (found | read_csv_duckdb(**options)).with_name("wide"), out)


def _pipeline(resource_of: Callable[[Any], Any], out: Path) -> Work:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt

    def work() -> None:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=str(out / "pipelines"),
            destination=dlt.destinations.filesystem(bucket_url=(out / "lake").as_uri()),
            dataset_name="bench",
        )
        pipeline.run(resource_of(dlt), loader_file_format="parquet")

    return work


CONTENDERS: dict[str, Contender] = {
    "odh": odh,
    "duckdb": duckdb,
    "pandas": pandas,
    "dlt": dlt,
    "dlt_reader": dlt_reader,
}


def _rows(out: Path) -> int:
    import pyarrow.parquet as pq

    written = [path for path in out.rglob("*.parquet") if "_dlt" not in path.parent.name]
    return sum(pq.ParquetFile(path).metadata.num_rows for path in written if "pipelines" not in path.parts)


def main() -> None:
    """Run the contender named by the arguments on a file or on the files of a folder."""
    name, encoding, source, target = sys.argv[1:]
    path, out = Path(source), Path(target)
    work = CONTENDERS[name](sorted(path.iterdir()) if path.is_dir() else [path], encoding, out)
    start, cpu = time.perf_counter(), time.process_time()
    work()
    taken = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(json.dumps(taken | {"peak_bytes": peak_bytes, "rows": _rows(out)}))


if __name__ == "__main__":
    main()

"""The numbers of a study: one row per sequence, condition, method and frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from napari_xfusion.core.files import write_whole
from napari_xfusion.core.types import ROLES

ATTENTION = {role: f"attention_{role}" for role in ROLES}
"""Columns of the raw scores of networks, by role."""
SCHEMA = pa.schema(
    [
        ("movie", pa.string()),
        ("condition", pa.string()),
        ("series", pa.string()),
        ("method", pa.string()),
        ("model", pa.string()),
        ("clusters", pa.float64()),  # per LR pixel along one axis, where they were swept
        ("hr_step", pa.int32()),  # LR frames
        ("separation", pa.int32()),  # LR frames
        ("lr_psnr", pa.float64()),  # dB, asked for; null without noise
        ("lr_psnr_reached", pa.float64()),  # dB
        ("frame", pa.int32()),
        ("seen", pa.bool_()),
        ("since_hr", pa.int32()),  # LR frames since the previous HR frame
        ("psnr", pa.float64()),  # dB
        ("aad", pa.float64()),  # 8-bit grey levels
        ("ssim", pa.float64()),
        ("ssim_gaussian", pa.float64()),
        *((name, pa.float64()) for name in ATTENTION.values()),
    ]
)
NOTES = b"notes"
IDENTITY = b"identity"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows as columns of equal length; missing numbers are NaN."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["frame"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def where(self, **values: object) -> Table:
        """Return the rows in which every named column has the value."""
        keep = np.ones(len(self), bool)
        for name, value in values.items():
            keep &= self.columns[name] == value
        return self.chosen(keep)

    def chosen(self, keep: NDArray[np.bool_]) -> Table:
        """Return the rows where ``keep`` (n,) is true."""
        return Table({name: column[keep] for name, column in self.columns.items()})

    def finite(self, name: str) -> NDArray[np.float64]:
        """Return the finite values of a column."""
        values = self.columns[name]
        return np.asarray(values[np.isfinite(values)], np.float64)


def write_cell(path: Path, rows: list[dict[str, Any]], identity: str, notes: Iterable[str]) -> None:
    """Write the rows of one sequence, condition and method; the file is complete or does not exist."""
    metadata = {IDENTITY: identity, NOTES: json.dumps(list(notes))}
    table = pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata(metadata)
    write_whole(path, lambda part: parquet.write_table(table, part))


def read_cell(path: Path, identity: str) -> pa.Table | None:
    """Return what ``write_cell`` wrote, or None where it is missing, damaged or of another run."""
    if not path.is_file():
        return None
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException):
        return None
    metadata = table.schema.metadata or {}
    same = table.schema.equals(SCHEMA) and metadata.get(IDENTITY) == identity.encode()
    return table if same else None


def notes_of(cell: pa.Table) -> list[str]:
    """Return the notes that were written with a cell."""
    notes: list[str] = json.loads(cell.schema.metadata[NOTES])
    return notes


def join(cells: Iterable[pa.Table]) -> pa.Table:
    """Concatenate all rows in the order of the cells."""
    return pa.concat_tables([SCHEMA.empty_table(), *(cell.replace_schema_metadata(None) for cell in cells)])


def as_columns(table: pa.Table) -> Table:
    """Convert the table to arrays."""
    return Table({name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names})


def write_table(table: pa.Table, folder: Path) -> tuple[Path, Path]:
    """Write table.csv and table.parquet."""
    as_csv, as_parquet = folder / "table.csv", folder / "table.parquet"
    write_whole(as_csv, lambda part: csv.write_csv(table, part))
    write_whole(as_parquet, lambda part: parquet.write_table(table, part))
    return as_csv, as_parquet

"""Tables and plot of a training: losses.csv, validation.csv, training.png."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from napari_xfusion.core.files import write_whole
from napari_xfusion.core.recordings.source import told
from napari_xfusion.lab.train.held_out import ALL, Figures

LOSSES, VALIDATION, PLOT = "losses.csv", "validation.csv", "training.png"
COLUMNS = {
    LOSSES: ("iteration", "seconds", "rate", "loss", "gradient"),
    VALIDATION: ("iteration", "method", "samples", "psnr"),
}
NETWORK = "network"


class Log:
    """Open the tables in ``folder``, up to ``iteration``; rows written after the last checkpoint are deleted."""

    def __init__(self, folder: Path, iteration: int) -> None:
        self.folder = folder
        for name, columns in COLUMNS.items():
            kept = [row for row in self.rows(name) if int(row["iteration"]) <= iteration]
            write_whole(folder / name, partial(_write, columns=columns, rows=kept))

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a table; none where there is no table."""
        path = self.folder / name
        if not path.exists():
            return []
        with told(path, "a table of this training"), path.open(newline="", encoding="utf-8") as file:
            # A kill may leave an incomplete line.
            return [
                row for row in csv.DictReader(file) if row["iteration"].isdigit() and None not in row.values()
            ]

    def loss(self, iteration: int, seconds: float, rate: float, loss: float, gradient: float) -> None:
        """Record the mean loss and gradient norm of the iterations up to this one."""
        self._add(LOSSES, [(iteration, f"{seconds:.1f}", f"{rate:.4g}", f"{loss:.6g}", f"{gradient:.4g}")])

    def figures(self, iteration: int, method: str, figures: Figures) -> None:
        """Record the figures of a method."""
        self._add(VALIDATION, [(iteration, method, name, f"{value:.4f}") for name, value in figures.items()])

    def plot(self) -> bool:
        """Plot both tables; return False where matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
        except ImportError:
            return False
        figure = Figure(figsize=(7, 7), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        losses = self.rows(LOSSES)
        above.plot([int(r["iteration"]) for r in losses], [float(r["loss"]) for r in losses])
        above.set_ylabel("loss")
        rows = [row for row in self.rows(VALIDATION) if row["samples"] == ALL]
        curve = [(int(r["iteration"]), float(r["psnr"])) for r in rows if r["method"] == NETWORK]
        below.plot(*zip(*curve, strict=True), marker=".", label=NETWORK)
        for n, row in enumerate(r for r in rows if r["method"] != NETWORK):
            below.axhline(float(row["psnr"]), color=f"C{n + 1}", linestyle="--", label=row["method"])
        below.set(xlabel="iteration", ylabel="held-out PSNR (dB)")
        below.legend()
        write_whole(self.folder / PLOT, partial(figure.savefig, format="png"))
        return True

    def _add(self, name: str, rows: Iterable[tuple[object, ...]]) -> None:
        with (self.folder / name).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def _write(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)

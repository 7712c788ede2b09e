"""The options that share a run among workers, and the workers that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from napari_xfusion.core.cluster import Cluster

WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="fuse in N processes of this machine; with --slurm, in N jobs",
        metavar="N",
        min=1,
        show_default=False,
    ),
]
DaskOption = Annotated[
    str | None,
    typer.Option(
        help="fuse on the workers of this Dask scheduler, such as tcp://node:8786",
        metavar="ADDRESS",
        show_default=False,
    ),
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option(
        help="fuse in --workers N jobs of Slurm; options of dask-jobqueue, such as partition=short; repeatable",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]


@contextmanager
def shared_by(
    workers: int | None, dask: str | None, slurm: list[str] | None = None, *, say: Callable[[str], None]
) -> Iterator[Cluster | None]:
    """The workers that the options name, None for this process alone; they start when frames are missing."""
    if workers is not None and dask is not None:
        raise typer.BadParameter("--workers starts workers, --dask uses running ones: give one of them")
    if slurm and workers is None:
        raise typer.BadParameter("--slurm needs --workers N, the number of jobs")
    options = parse_pairs(slurm or [])
    if workers is None and dask is None:
        yield None
        return
    from napari_xfusion.core.cluster import Cluster

    if dask is not None:
        made = Cluster.at(dask, say=say)
    elif slurm:
        made = Cluster.slurm(workers or 1, options, say=say)
    else:
        made = Cluster.local(workers or 1, say=say)
    with made:
        yield made


def parse_pairs(texts: list[str]) -> Mapping[str, str]:
    """Parse ``KEY=VALUE`` texts."""
    pairs = [text.partition("=") for text in texts]
    for key, mark, value in pairs:
        if not (key and mark and value):
            raise typer.BadParameter(
                f"--slurm: expected KEY=VALUE such as partition=short, found {key}{mark}{value}"
            )
    return {key: value for key, _, value in pairs}

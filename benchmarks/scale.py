"""What limits a run on many workers: the real client, scheduler and workers of Dask, with frames that only wait.

    python benchmarks/scale.py --workers 10 100 1000

100 000 frames, each of which a worker holds for so long that the run would take --seconds on workers without any
overhead. The scheduler is a process of its own, workers share a few processes with a thread each: on a machine with
few cores these compete, so what counts is the time of the processors that client and scheduler need, by frame and by
chunk. It tells how many frames and chunks a second they can give out and take back, whatever the workers do.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil

from napari_xfusion.core.cluster import Cluster
from napari_xfusion.core.results.journal import Entry, Journal
from napari_xfusion.core.work import Look, Made, Report

HERE = Path(__file__)
PER_PROCESS, PROCESSES = 25, 10
"""Workers that share a process, if there are so many processes at most."""


@dataclass(frozen=True)
class Waiting:
    """In place of the work of a run: frames that wait; has what workers and client ask of ``core.work.Work``."""

    seconds: float
    padding: bytes
    """As many bytes as the work of so many frames has."""
    hr_times: frozenset[float] = frozenset()
    frame_bytes: int = 0

    @property
    def plan(self) -> None:
        """None of these workers is of this machine, whose cards would be asked for by the plan."""

    @property
    def claims(self) -> dict[str, object]:
        """No outputs."""
        return {}

    def benches(self) -> Waiting:
        """Of a worker process."""
        return self

    def look(self) -> Look:
        """Everything is seen."""
        return Look(socket.gethostname(), True, None)

    def stop(self) -> None:
        """Nothing is open."""

    def fuse(self, targets: tuple[int, ...]) -> Report:
        """Wait as long as the frames take."""
        began = perf_counter()
        time.sleep(self.seconds * len(targets))
        notes = {"seen": False, "seconds": self.seconds}
        made = tuple(Made(target, notes, {"image": target}, {}) for target in targets)
        return Report(socket.gethostname(), perf_counter() - began, made)


def measure(workers: int, frames: int, seconds: float) -> None:
    """Print what a run of ``frames`` on ``workers`` takes that would take ``seconds`` without overhead."""
    each = seconds * workers / frames
    work = Waiting(each, bytes(30 * frames))
    with (
        scheduler() as (address, process),
        hosts(address, workers) as others,
        tempfile.TemporaryDirectory() as folder,
        Cluster.at(address) as cluster,
    ):
        wait_for(address, workers)
        journal = Journal(Path(folder) / "journal")
        busy = [cpu(process), cpu(psutil.Process()), sum(map(cpu, others))]
        began, first, chunks, done = perf_counter(), 0.0, 0, 0
        for report in cluster.reports(work, range(frames), threading.Event()):
            first = first or perf_counter() - began
            chunks, done = chunks + 1, done + len(report.frames)
            for made in report.frames:
                journal.add(Entry(made.index, made.stored["image"], made.notes))
        wall = perf_counter() - began
        used = [cpu(process), cpu(psutil.Process()), sum(map(cpu, others))]
        journal.close()
    of_scheduler, of_client, of_workers = (after - before for after, before in zip(used, busy, strict=True))
    assert done == frames
    print(
        f"{workers:5} workers, frames of {1000 * each:.1f} ms: {wall:.1f} s for {seconds:.0f} s "
        f"({frames / wall:.0f} frames/s), first report after {first:.1f} s, {chunks} chunks; processors: "
        f"scheduler {of_scheduler:.1f} s ({1000 * of_scheduler / chunks:.2f} ms a chunk), "
        f"client {of_client:.1f} s ({1e6 * of_client / frames:.0f} us a frame), workers {of_workers:.1f} s; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def wait_for(address: str, workers: int) -> None:
    """Wait until all workers have come."""
    from distributed import Client

    with Client(address) as client:
        client.wait_for_workers(workers, timeout=300)


def cpu(process: psutil.Process) -> float:
    """Seconds of the processors that a process has used."""
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def scheduler():
    """A scheduler in a process of its own: its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
    ]
    started = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    try:
        yield f"tcp://127.0.0.1:{port}", psutil.Process(started.pid)
    finally:
        started.kill()
        started.wait()


@contextmanager
def hosts(address: str, workers: int):
    """Processes with so many workers together."""
    processes = min(PROCESSES, -(-workers // PER_PROCESS))
    counts = [len(range(first, workers, processes)) for first in range(processes)]
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE), "--host", address, str(count)], stderr=subprocess.DEVNULL
        )
        for count in counts
    ]
    try:
        yield [psutil.Process(each.pid) for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


async def host(address: str, count: int) -> None:
    """Be ``count`` workers until killed."""
    import dask
    from distributed import Worker

    logging.disable(logging.CRITICAL)
    # Each worker looks at its process twice a second, which is nothing, and takes long in one process with hundreds.
    dask.config.set(
        {"distributed.admin.system-monitor.interval": "1h", "distributed.worker.profile.enabled": False}
    )
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(
                Worker(address, nthreads=1, memory_limit=0, dashboard=False, silence_logs=logging.CRITICAL)
            )
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--host", nargs=2)
    given = parser.parse_args()
    if given.host:
        asyncio.run(host(given.host[0], int(given.host[1])))
    else:
        print(
            f"work of {len(pickle.dumps(Waiting(0.0, bytes(30 * given.frames)))) / 1e6:.1f} MB to each worker"
        )
        for number in given.workers:
            measure(number, given.frames, given.seconds)

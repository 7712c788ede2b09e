"""Runs that workers share, against the same run in one process: bytes, speed, overhead, and killed workers.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py bytes       # every method and every kind of output
    OMP_NUM_THREADS=1 python benchmarks/cluster.py speed       # two workers against one process with one thread
    OMP_NUM_THREADS=1 python benchmarks/cluster.py overhead    # of 10 000 tiny frames
    OMP_NUM_THREADS=1 python benchmarks/cluster.py kill        # a worker, 20 times at a random moment
    OMP_NUM_THREADS=1 python benchmarks/cluster.py scheduler   # killed and started again, 5 times

Recordings and results are in a temporary folder. Each takes some minutes. The load average is printed: on a busy
machine, two workers do not have two cores, so what a process and two workers take is measured in turns.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter, process_time

import cv2
import numpy as np
import psutil
import tifffile

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.cluster import Cluster
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.run import fuse_files
from napari_xfusion.errors import ModelError
from speed import STEP, two_cameras

NAMES = ("fused.tif", "fused.ome.tif", "fused.zarr", "fused.nxs")
COMMAND = [sys.executable, "-m", "napari_xfusion", "fuse"]


def write(folder: Path, frames: int, shape: tuple[int, int]) -> tuple[Path, Path]:
    """Write lr.tif and hr.tif, one HR frame every STEP LR frames."""
    for name, images in zip(("lr.tif", "hr.tif"), two_cameras(frames, shape), strict=True):
        tifffile.imwrite(folder / name, images, photometric="minisblack")
    return folder / "lr.tif", folder / "hr.tif"


def digest(path: Path) -> str:
    """Sha256 of a file, or of all files in a folder with their names."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        found.update(file.relative_to(path.parent).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def compare_bytes(folder: Path) -> None:
    """Print for each method and output whether the files are equal."""
    recordings = write(folder, 41, (96, 128))
    for name in ("alone", "shared"):
        (folder / name).mkdir()
    seen = set[str]()
    with Cluster.local(2) as workers:
        for method, known in METHODS.items():
            plan = make_plan(method=method, hr_step=STEP, device="cpu")
            same = []
            for name in NAMES:
                for part, others in (("alone", None), ("shared", workers)):
                    output = folder / part / f"{method}-{name}"
                    beside = {}
                    if name == NAMES[0]:
                        beside["interval"] = folder / part / f"{method}-interval.tif"
                        if "std" in known.gives:
                            beside["std"] = folder / part / f"{method}-std.tif"
                        if "attention" in known.gives:
                            beside["attention"] = folder / part / f"{method}.csv"
                    try:
                        fuse_files(plan, *recordings, output, workers=others, **beside)
                    except ModelError as error:
                        print(f"{method:16} {error}")
                        break
            for path in sorted((folder / "alone").iterdir()):
                if path.suffix != ".json" and path.name not in seen:
                    seen.add(path.name)
                    equal = digest(path) == digest(folder / "shared" / path.name)
                    same.append(
                        f"{path.name.removeprefix(method).lstrip('-')} {'equal' if equal else 'DIFFERENT'}"
                    )
            print(f"{method:16} {', '.join(same)}", flush=True)


def compare_speed(folder: Path, rounds: int = 3) -> None:
    """Print the seconds of one process with one thread and of two workers, in turns, and those of processors.

    What two workers need of the processors more than one process tells what two cores of their own would give.
    """
    cv2.setNumThreads(1)  # which OMP_NUM_THREADS does not do
    recordings = write(folder, 1201, (400, 512))
    for method, count in (("flow", 1201), ("lite", 321)):
        plan = make_plan(method=method, hr_step=STEP, device="cpu", frames=(0, count))
        seconds: dict[str, list[float]] = {"alone": [], "two": []}
        used: dict[str, list[float]] = {name: [] for name in seconds}
        with Cluster.local(2) as two:
            clusters = {"alone": None, "two": two}
            for number in range(-1, rounds):  # workers start and import in the first round
                for name, others in clusters.items():
                    output = folder / f"{method}-{name}.tif"
                    output.unlink(missing_ok=True)
                    began, before = perf_counter(), processors(others)
                    fuse_files(plan, *recordings, output, workers=others)
                    if number >= 0:
                        seconds[name].append(perf_counter() - began)
                        used[name].append(processors(others) - before)
        ratios = [a / t for a, t in zip(seconds["alone"], seconds["two"], strict=True)]
        work = statistics.median(used["two"]) / statistics.median(used["alone"])
        print(
            f"{method:14} {count} frames: "
            + ", ".join(f"{name} {statistics.median(each):.1f} s" for name, each in seconds.items())
            + f"; two workers {statistics.median(ratios):.2f} x one process "
            f"({', '.join(f'{ratio:.2f}' for ratio in ratios)}); processors "
            + ", ".join(f"{name} {statistics.median(each):.1f} s" for name, each in used.items())
            + f", at most {2 / work:.2f} x; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def processors(cluster: Cluster | None) -> float:
    """Seconds of the processors that this process and the workers have used."""
    others = cluster.client.run(process_time) if cluster is not None and cluster.client is not None else {}
    return process_time() + sum(others.values())


def measure_overhead(folder: Path, frames: int = 10_000) -> None:
    """Print what two workers add to a tiny frame, in wall time and in seconds of all processors."""
    recordings = write(folder, frames, (16, 16))
    plan = make_plan(method="bicubic", hr_step=STEP, device="cpu", correct=())
    began = perf_counter()
    fuse_files(plan, *recordings, folder / "alone.tif")
    alone = perf_counter() - began
    with Cluster.local(2) as workers:
        fuse_files(
            plan.model_copy(update={"frames": (0, 50)}), *recordings, folder / "first.tif", workers=workers
        )
        began = perf_counter()
        fuse_files(plan, *recordings, folder / "shared.tif", workers=workers)
        shared = perf_counter() - began
    print(
        f"{frames} frames of 16x16: one process {alone:.1f} s, two workers {shared:.1f} s: "
        f"{1000 * (shared - alone) / frames:+.2f} ms a frame more, {1000 * shared / frames:.2f} ms in all; "
        f"equal {digest_of(folder / 'alone.tif') == digest_of(folder / 'shared.tif')}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command at work."""
    command = [*COMMAND, *map(str, arguments), "--hr-step", str(STEP), "--method", "flow", "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def said(stderr: str) -> str:
    """The last line without the progress bar."""
    return (stderr.replace("\r", "\n").strip().splitlines() or [""])[-1].strip()[:160]


def kept(output: Path) -> int:
    """Frames in the journal; all once it is gone."""
    with suppress(FileNotFoundError):
        return max(0, Path(f"{output}.journal").read_bytes().count(b"\n") - 1)
    return -1


def kill_workers(folder: Path, runs: int = 20) -> None:
    """Kill a worker at a random moment of each run, and count what came of it."""
    recordings = write(folder, 121, (192, 256))
    start(*recordings, "-o", folder / "alone.tif").wait()
    expected, equal, chance = digest_of(folder / "alone.tif"), 0, np.random.default_rng(1)
    for number in range(runs):
        output = folder / f"{number}.tif"
        process = start(*recordings, "-o", output, "--workers", 2)
        wait_for(process, output, int(chance.integers(100)))
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [each for each in children if "spawn_main" in " ".join(each.cmdline())]
        at = kept(output)
        victim = workers[chance.integers(len(workers))]
        victim.kill()
        _, stderr = process.communicate()
        same = digest_of(output) == expected
        equal += same and process.returncode == 0
        print(
            f"{number:3} killed at {at:4} frames, exit {process.returncode}, equal {same}, {said(stderr)}",
            flush=True,
        )
        output.unlink(missing_ok=True)
    print(f"{equal} of {runs} equal; load {os.getloadavg()[0]:.1f}")


def kill_schedulers(folder: Path, runs: int = 5) -> None:
    """Kill the scheduler at a random moment, start it again, and run the same command again."""
    recordings = write(folder, 121, (192, 256))
    start(*recordings, "-o", folder / "alone.tif").wait()
    expected, equal, chance = digest_of(folder / "alone.tif"), 0, np.random.default_rng(2)
    for number in range(runs):
        output = folder / f"{number}.tif"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with dask(address) as scheduler:
            process = start(*recordings, "-o", output, "--dask", address)
            wait_for(process, output, int(chance.integers(1, 90)))
            scheduler.kill()
            at = kept(output)
            _, stderr = process.communicate()
            first = process.returncode
        with dask(address):
            process = start(*recordings, "-o", output, "--dask", address)
            process.communicate()
        same = digest_of(output) == expected
        equal += same and process.returncode == 0
        print(
            f"{number:3} killed at {at:4} frames, exit {first}, then {process.returncode}, "
            f"equal {same}: {said(stderr)}",
            flush=True,
        )
    print(f"{equal} of {runs} equal; load {os.getloadavg()[0]:.1f}")


@contextmanager
def dask(address: str, workers: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler with workers, as on several machines."""
    port = address.rpartition(":")[2]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    module = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*module, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"],
        **quiet,
    )
    others = [
        subprocess.Popen(
            [*module, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"], **quiet
        )
        for _ in range(workers)
    ]
    try:
        yield scheduler
    finally:
        for process in (*others, scheduler):
            process.terminate()
        for process in (*others, scheduler):
            process.wait()


def wait_for(process: subprocess.Popen[str], output: Path, count: int) -> None:
    """Wait until so many frames are kept."""
    while process.poll() is None and kept(output) < count:
        time.sleep(0.005)


def digest_of(output: Path) -> str:
    """Of a result without its name; '' where there is none."""
    return hashlib.sha256(output.read_bytes()).hexdigest() if output.exists() else ""


WHAT = {
    "bytes": compare_bytes,
    "speed": compare_speed,
    "overhead": measure_overhead,
    "kill": kill_workers,
    "scheduler": kill_schedulers,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--runs", type=int)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    try:
        WHAT[given.what](place, *([] if given.runs is None else [given.runs]))
    finally:
        shutil.rmtree(place)

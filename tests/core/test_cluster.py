"""Runs that other processes do: the bytes of one process, whatever becomes of the workers."""

import importlib
import os
import platform
import signal
import sys
import threading

import dask.base
import numpy as np
import pytest
import tifffile

from napari_xfusion.core import cluster
from napari_xfusion.core.cluster import Cluster, card_of, slurm_cluster
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.run import fuse_files
from napari_xfusion.errors import ClusterError, FrameError, InputError, WriteError
from tests.core.test_run import bytes_of
from tests.faults.command import write_sequences

FRAMES = 23
NAMES = ["fused.tif", "fused.ome.tif", "fused.zarr", "fused.nxs"]


@pytest.fixture(scope="module")
def workers():
    with Cluster.local(2) as made:
        yield made


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return write_sequences(folder, FRAMES, (48, 64))[:2]


def folders(tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    return alone, shared


@pytest.mark.early
def test_workers_give_the_bytes_of_one_process(workers, recordings, tmp_path):
    alone, shared = folders(tmp_path)
    for method in ("interpolation", "bayesian"):
        plan = make_plan(method=method, hr_step=4)
        for name in NAMES:
            outputs = [folder / f"{method}-{name}" for folder in (alone, shared)]
            wanted = method == "bayesian" and name == "fused.tif"
            std = [{"std": f"{output}.std.tif"} if wanted else {} for output in outputs]
            fuse_files(plan, *recordings, outputs[0], **std[0])
            outcome = fuse_files(plan, *recordings, outputs[1], workers=workers, **std[1])
            assert (outcome.frames, outcome.resumed) == (FRAMES, 0)
    names = sorted(p.name for p in alone.iterdir() if p.suffix != ".json")
    assert len(names) == 9
    for name in names:
        assert bytes_of(shared / name) == [
            part.replace(b"alone", b"shared") for part in bytes_of(alone / name)
        ], name


def test_what_else_is_computed_by_dask_stays_in_this_process(workers):
    """Layers of napari are dask arrays too; the workers may not see their files."""
    workers._connected()
    assert dask.base.get_scheduler() is None


def test_the_environment_of_this_process_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with Cluster.local(1) as own:
        own._connected()
        assert dict(os.environ) == before
        own._owned.scale(2)
        own.client.wait_for_workers(2)
    assert dict(os.environ) == before


def _faults(kilobytes):
    """Of pages, for images that are made and freed one after the other."""
    import resource  # not on Windows

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(kilobytes * 256, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about the allocator of glibc")
def test_a_worker_uses_the_memory_of_a_freed_image_again(workers, recordings, tmp_path):
    fuse_files(make_plan(method="bicubic", hr_step=4), *recordings, tmp_path / "fused.tif", workers=workers)
    pages = 100 * 1024 // 4
    assert max(workers.client.run(_faults, 1024).values()) < pages / 10


def test_a_killed_worker_changes_nothing(workers, recordings, tmp_path):
    alone, shared = folders(tmp_path)
    plan = make_plan(method="bicubic", hr_step=4)
    fuse_files(plan, *recordings, alone / "fused.tif")
    killed = []

    def kill(done, _total):
        if done and not killed:
            killed.append(min(workers.client.run(os.getpid).values()))
            os.kill(killed[0], signal.SIGKILL)

    fuse_files(plan, *recordings, shared / "fused.tif", workers=workers, progress=kill)
    assert killed
    assert bytes_of(shared / "fused.tif") == bytes_of(alone / "fused.tif")


def test_a_frame_that_fails_is_named_and_the_others_are_made(workers, tmp_path, monkeypatch):
    frames, folder = np.random.default_rng(1).integers(0, 999, (12, 12, 16), np.uint16), tmp_path / "lr"
    folder.mkdir()
    for number, frame in enumerate(frames):
        tifffile.imwrite(folder / f"{number:03}.tif", frame, compression="zlib")
    large = frames[::4].repeat(4, 1).repeat(4, 2)
    tifffile.imwrite(tmp_path / "hr.tif", large, photometric="minisblack")
    bad, plan = folder / "007.tif", make_plan(method="bicubic", hr_step=4, correct=())
    whole = bad.read_bytes()

    # Said when the workers have looked at the recordings, and before they begin.
    monkeypatch.setattr(workers, "say", lambda _line: bad.write_bytes(whole[:-300] + bytes(300)))
    arguments = plan, folder, tmp_path / "hr.tif", tmp_path / "fused.tif"
    with pytest.raises(FrameError, match=r"frame 7: failed 3 times.*007\.tif") as raised:
        fuse_files(*arguments, workers=workers)
    assert "resume" in raised.value.hint
    bad.write_bytes(whole)
    assert fuse_files(*arguments).resumed == 11


def test_a_stopped_run_resumes(workers, recordings, tmp_path):
    plan, stop = make_plan(method="bicubic", hr_step=4), threading.Event()
    outcome = fuse_files(
        plan,
        *recordings,
        tmp_path / "fused.tif",
        workers=workers,
        stop=stop,
        progress=lambda done, _total: stop.set() if done else None,
    )
    assert 0 < outcome.frames < FRAMES
    assert fuse_files(plan, *recordings, tmp_path / "fused.tif").resumed == outcome.frames


def test_an_error_of_the_disk_on_a_worker_names_the_machine(workers, recordings, tmp_path):
    resource = pytest.importorskip("resource")
    client = workers._connected()
    limits = client.run(resource.getrlimit, resource.RLIMIT_FSIZE)
    plan = make_plan(method="bicubic", hr_step=4)
    client.run(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, -1))
    try:
        with pytest.raises(WriteError, match=f"on {os.uname().nodename}: .*File too large"):
            fuse_files(plan, *recordings, tmp_path / "fused.zarr", workers=workers)
    finally:
        client.run(resource.setrlimit, resource.RLIMIT_FSIZE, min(limits.values()))


def test_arrays_and_other_versions_are_refused(workers, recordings, tmp_path, monkeypatch):
    plan = make_plan(method="bicubic", hr_step=4)
    arrays = [tifffile.imread(path) for path in recordings]
    with pytest.raises(InputError, match="array in memory"):
        fuse_files(plan, *arrays, tmp_path / "fused.tif", workers=workers)
    monkeypatch.setattr(cluster, "__version__", "99.0")
    with pytest.raises(ClusterError, match=r"worker tcp://.*expected napari-xfusion 99\.0") as raised:
        fuse_files(plan, *recordings, tmp_path / "fused.tif", workers=workers)
    assert "one environment" in raised.value.hint


def test_without_a_scheduler(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9: no scheduler") as raised:
        list(Cluster.at("tcp://127.0.0.1:9").reports(None, [0], threading.Event()))
    assert "dask scheduler" in raised.value.hint


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "napari_xfusion.core.cluster")
    with pytest.raises(ClusterError, match="not installed") as raised:
        importlib.import_module("napari_xfusion.core.cluster")
    assert "napari-xfusion[cluster]" in raised.value.hint


@pytest.mark.parametrize(
    ("number", "visible", "count", "card"), [(0, "", 2, "0"), (3, "", 2, "1"), (1, "4,7", 2, "7")]
)
def test_each_worker_has_a_card(number, visible, count, card):
    assert card_of(number, visible, count) == card


def test_the_jobs_of_slurm():
    options = {"partition": "short", "account": "p42", "cores": "8", "memory": "32GB", "walltime": "01:30:00"}
    with slurm_cluster(options) as made:
        script = made.job_script()
    for line in ("-p short", "-A p42", "--cpus-per-task=8", "--mem=30G", "-t 01:30:00"):
        assert f"#SBATCH {line}" in script
    assert "--nthreads 1" in script
    assert "--nworkers 8" in script


@pytest.mark.parametrize("options", [{"nonsense": "1"}, {"cores": "many"}])
def test_wrong_options_of_slurm(options):
    with pytest.raises(ClusterError, match="the options of Slurm") as raised:
        slurm_cluster(options)
    assert "partition=short" in raised.value.hint

"""The options that share a run among workers."""

import json

import pytest

from napari_xfusion.cli import main
from tests.core.test_batch import record
from tests.core.test_run import bytes_of


@pytest.fixture
def fuse(tmp_path):
    """``fuse(output, ...)``: the exit code of a run of two small recordings."""
    record(tmp_path, "a_{}.tif", 0)
    inputs = [str(tmp_path / "a_lr.tif"), str(tmp_path / "a_hr.tif"), "--hr-step", "4", "--method", "bicubic"]
    return lambda name, *options: main(["fuse", *inputs, "-o", str(tmp_path / name), *options])


def test_workers_of_this_machine(fuse, tmp_path, capsys):
    assert fuse("alone.tif") == 0
    capsys.readouterr()
    assert fuse("shared.tif", "--workers", "1", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["finished"]
    assert "1 worker on " in said.err
    assert "write the frames" in said.err
    assert bytes_of(tmp_path / "shared.tif") == bytes_of(tmp_path / "alone.tif")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2", "--dask", "tcp://node:8786"], "give one of them"),
        (["--slurm", "partition=short"], "--workers N"),
        (["--slurm", "partition", "--workers", "2"], "KEY=VALUE"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_options_that_exclude_each_other(fuse, capsys, options, said):
    assert fuse("fused.tif", *options) == 2
    assert said in capsys.readouterr().err


def test_an_address_where_nothing_answers(fuse, tmp_path, capsys):
    assert fuse("fused.tif", "--dask", "nonsense://") == 1
    assert "no scheduler of Dask answers there" in capsys.readouterr().err
    assert not list(tmp_path.glob("fused*"))

"""Workers: what they return and count arrives here; a killed one, and an error, are reported."""

import os
import threading

import pytest

from napari_xfusion.errors import InputError, OutputError
from napari_xfusion.lab.workers import share


def work(task, _stop, count):
    if task == "die":
        os._exit(1)
    if task == "fail":
        raise InputError("task", problem="it fails", hint="none")
    count()
    return task * 2


def run(tasks, stop=None):
    results, counts = {}, []
    share(work, tasks, 2, stop or threading.Event(), done=results.__setitem__, count=counts.append)
    return results, counts


def test_every_task_is_done_and_counted():
    results, counts = run(["a", "b", "c"])
    assert results == {"a": "aa", "b": "bb", "c": "cc"}
    assert counts[-1] == 3 and counts == sorted(counts)


@pytest.mark.parametrize(("task", "error"), [("die", OutputError), ("fail", InputError)])
def test_what_goes_wrong_in_a_worker_is_raised_here(task, error):
    with pytest.raises(error):
        run([task])


def test_nothing_begins_after_a_stop():
    stop = threading.Event()
    stop.set()
    assert run([]) == ({}, [])
    assert run(["a"], stop) == ({}, [])

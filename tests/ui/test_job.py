"""Work beside the window: only the newest answer counts, errors are outcomes, nothing is left behind."""

import random
import subprocess
import sys
import threading
import time

import pytest

from napari_xfusion.errors import PairingError
from napari_xfusion.ui.shared.job import Outcome, Workbench

PATIENCE = 1200.0
"""Seconds to wait for what comes at once; only a fault ever takes that long."""


@pytest.fixture
def bench():
    bench = Workbench("test")
    yield bench
    assert bench.close(PATIENCE)


def fetch(bench):
    """News until the outcome, which is last."""
    news = []
    while not (news and isinstance(news[-1], Outcome)):
        news += hear(bench, 1)
    return news


def hear(bench, count):
    """At least so many pieces of news; fewer where the outcome, the last, is among them."""
    news, deadline = [], time.monotonic() + PATIENCE
    while bench.busy and len(news) < count:
        assert time.monotonic() < deadline, "no news came"
        news += bench.news()
        time.sleep(0.0005)
    return news


def test_news_come_in_order_and_the_outcome_is_last(bench):
    def body(stop, tell):
        for n in range(3):
            tell(n)
        return "done"

    bench.ask(body)
    assert bench.busy
    *news, outcome = fetch(bench)
    assert news == [0, 1, 2]
    assert outcome == Outcome("done")
    assert not bench.busy


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(ValueError("wrong"), "Unexpected ValueError, see the log ", id="a bug"),
        pytest.param(
            PairingError("LR", expected="a", found="b", hint="c"), "LR: expected a, found b. C.", id="told"
        ),
        pytest.param(MemoryError("no room"), "Unexpected MemoryError, see the log ", id="memory"),
        pytest.param(SystemExit(3), "Unexpected SystemExit, see the log ", id="an exit"),
    ],
)
def test_whatever_is_raised_is_an_outcome(bench, error, said):
    def body(stop, tell):
        raise error

    bench.ask(body)
    (outcome,) = fetch(bench)
    assert outcome.error is error
    assert outcome.in_words().startswith(said)
    bench.ask(lambda *_: 1)  # and the thread lives on
    assert fetch(bench) == [Outcome(1)]


def test_a_cancelled_request_says_what_it_has(bench):
    def body(stop, tell):
        assert stop.wait(PATIENCE)
        return "so far"

    bench.ask(body)
    bench.cancel()
    assert fetch(bench) == [Outcome("so far", cancelled=True)]


def test_what_is_forgotten_never_answers(bench):
    gate = threading.Event()
    bench.ask(lambda *_: gate.wait(PATIENCE))
    bench.forget()
    gate.set()
    bench.ask(lambda *_: "new")
    assert fetch(bench) == [Outcome("new")]


def test_stale_answers_never_win(bench):
    """200 requests, of which some are heard on the way or to their end: only the newest is ever heard."""
    chance = random.Random(0)  # noqa: S311 - no secret

    def body_of(number):
        def body(stop, tell):
            tell(number)
            stop.wait(chance.uniform(0, 0.004))
            tell(number)
            return number

        return body

    for number in range(200):
        bench.ask(body_of(number))
        for wanted in range(chance.randrange(4)):  # nothing, or so many of its three pieces of news
            heard = hear(bench, wanted)
            assert {item.value if isinstance(item, Outcome) else item for item in heard} <= {number}
    bench.ask(body_of(200))
    assert fetch(bench) == [200, 200, Outcome(200)]


def test_what_a_request_tells_after_a_newer_one_is_dropped(bench):
    begun, gate = threading.Event(), threading.Event()

    def slow(stop, tell):
        tell("before")
        begun.set()
        assert gate.wait(PATIENCE)
        tell("after")
        return "old"

    bench.ask(slow)
    assert begun.wait(PATIENCE)
    bench.ask(lambda *_: "new")
    gate.set()
    assert fetch(bench) == [Outcome("new")]


def test_closing_stops_the_work_and_frees_what_was_kept():
    freed, begun = [], threading.Event()
    bench = Workbench("test", at_end=lambda: freed.append(threading.current_thread().name))

    def body(stop, tell):
        begun.set()
        assert stop.wait(PATIENCE)

    bench.ask(body)
    assert begun.wait(PATIENCE)
    assert bench.close(PATIENCE)
    assert freed == ["test"]
    assert "test" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(RuntimeError, match="closed"):
        bench.ask(body)


UNCLOSED = """
import atexit
import threading
from napari_xfusion.ui.shared.job import Workbench

atexit.register(print, "libraries end")

def body(stop, tell):
    begun.set()
    stop.wait()
    print("stopped")

begun = threading.Event()
bench = Workbench("test")
bench.ask(body)
begun.wait()
"""


def test_python_ends_only_after_the_work_has_stopped():
    """A thread that is in OpenCV, or imports torch, while these libraries end would crash the process."""
    done = subprocess.run([sys.executable, "-c", UNCLOSED], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("stopped\nlibraries end\n", "")


def test_a_bench_that_was_never_used_has_no_thread():
    before = set(threading.enumerate())
    bench = Workbench("test")
    assert set(threading.enumerate()) <= before
    assert bench.close()

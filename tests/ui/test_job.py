"""Work beside the window: only the newest answer counts, errors are outcomes, nothing is left behind."""

import random
import threading
import time

import pytest

from napari_xfusion.errors import PairingError
from napari_xfusion.ui.job import Outcome, Workbench


@pytest.fixture
def bench():
    bench = Workbench("test")
    yield bench
    assert bench.close()


def fetch(bench, timeout=5.0):
    """News until the outcome, which is last."""
    news, deadline = [], time.monotonic() + timeout
    while not (news and isinstance(news[-1], Outcome)):
        assert time.monotonic() < deadline, "no outcome came"
        news += bench.news()
        time.sleep(0.001)
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
        pytest.param(ValueError("wrong"), "ValueError: wrong", id="a bug"),
        pytest.param(
            PairingError("LR", expected="a", found="b", do="c"), "LR: expected a, found b; c", id="told"
        ),
        pytest.param(MemoryError("no room"), "MemoryError: no room", id="memory"),
        pytest.param(SystemExit(3), "SystemExit: 3", id="an exit"),
    ],
)
def test_whatever_is_raised_is_an_outcome(bench, error, said):
    def body(stop, tell):
        raise error

    bench.ask(body)
    (outcome,) = fetch(bench)
    assert outcome.error is error
    assert outcome.in_words() == said
    bench.ask(lambda *_: 1)  # and the thread lives on
    assert fetch(bench) == [Outcome(1)]


def test_a_cancelled_request_says_what_it_has(bench):
    def body(stop, tell):
        while not stop.is_set():
            time.sleep(0.001)
        return "so far"

    bench.ask(body)
    bench.cancel()
    assert fetch(bench) == [Outcome("so far", cancelled=True)]


def test_what_is_forgotten_never_answers(bench):
    gate = threading.Event()
    bench.ask(lambda *_: gate.wait(5))
    bench.forget()
    gate.set()
    bench.ask(lambda *_: "new")
    assert fetch(bench) == [Outcome("new")]


def test_stale_answers_never_win(bench):
    """200 requests with delays, asked for and fetched at random moments: only the newest is ever heard."""
    chance, heard = random.Random(0), 0  # noqa: S311 - no secret

    def body_of(number, delay):
        def body(stop, tell):
            tell(number)
            time.sleep(delay)
            tell(number)
            return number

        return body

    for number in range(200):
        bench.ask(body_of(number, chance.uniform(0, 0.004)))
        for _ in range(chance.randrange(4)):
            time.sleep(chance.uniform(0, 0.003))
            news = [item.value if isinstance(item, Outcome) else item for item in bench.news()]
            heard += len(news)
            assert set(news) <= {number}
    bench.ask(body_of(200, 0))
    assert fetch(bench) == [200, 200, Outcome(200)]
    assert heard > 50


def test_closing_stops_the_work_and_frees_what_was_kept():
    freed, begun = [], threading.Event()
    bench = Workbench("test", at_end=lambda: freed.append(threading.current_thread().name))

    def body(stop, tell):
        begun.set()
        while not stop.is_set():
            time.sleep(0.001)

    bench.ask(body)
    assert begun.wait(5)
    began = time.monotonic()
    assert bench.close()
    assert time.monotonic() - began < 1
    assert freed == ["test"]
    assert "test" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(RuntimeError, match="closed"):
        bench.ask(body)


def test_a_bench_that_was_never_used_has_no_thread():
    before = threading.active_count()
    bench = Workbench("test")
    assert threading.active_count() == before
    assert bench.close()

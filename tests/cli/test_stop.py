"""How a signal becomes a stop."""

import signal

import pytest

from napari_xfusion.cli.terminal import Progress, stop_on_signal

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@pytest.fixture(autouse=True)
def _heard():
    """The tests may run under nohup or in the background of a script, where some signals are ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_frame_ends_the_run_at_once(number, capsys):
    with pytest.raises(KeyboardInterrupt), Progress("frames") as progress, stop_on_signal(progress):
        signal.raise_signal(number)
    assert "napari-xfusion: stopped" in capsys.readouterr().err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_run_asks_it_to_stop_and_a_second_one_ends_it(number):
    with (
        pytest.raises(KeyboardInterrupt),
        Progress("frames") as progress,
        stop_on_signal(progress) as stop,
    ):
        progress(0, 2)
        signal.raise_signal(number)
        assert stop.is_set()
        signal.raise_signal(number)


def test_signals_mean_afterwards_what_they_meant_before():
    before = [signal.getsignal(s) for s in SIGNALS]
    with Progress("frames") as progress, stop_on_signal(progress):
        assert [signal.getsignal(s) for s in SIGNALS] != before
    assert [signal.getsignal(s) for s in SIGNALS] == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_nohup_stays_in_force():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Progress("frames") as progress, stop_on_signal(progress) as stop:
        progress(0, 2)
        signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set()

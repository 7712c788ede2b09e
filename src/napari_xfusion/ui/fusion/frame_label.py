"""The label on the canvas: frame number and time of LR, and of the HR frame that is shown with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_xfusion.core.clock import PICOSECONDS
from napari_xfusion.core.quantities import moment
from napari_xfusion.ui.shared.place import frame_on_screen
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari
    from napari.layers import Layer

    from napari_xfusion.core.clock import Clock


def frame_words(viewer: napari.Viewer, lr: Layer, hr: Layer | None) -> Iterator[str]:
    """``frame 6``, its time and ``HR 1 at 4 ms``: what is known of the frames under the slider.

    Both times are since the first LR frame. Raises InputError where ``lr`` is no sequence.
    """
    frame, clock = frame_on_screen(viewer, lr), stack_of(lr).clock
    # A layer of HR shows frames more than once: its entries have no times of their own.
    own = len(clock) == (lr.data.shape[-3] if lr.ndim > 2 else 1)
    seconds = clock.seconds(frame) if own else None
    yield f"frame {frame}"
    yield "" if seconds is None else moment(seconds)
    yield _hr_words(viewer, hr, clock)


def _hr_words(viewer: napari.Viewer, hr: Layer | None, clock: Clock) -> str:
    """Number and time of the HR frame that a layer of a pair shows; '' of other layers, or without HR times."""
    known = None if hr is None else provenance_of(hr)
    if hr is None or known is None or known.entries is None or known.times is None:
        return ""
    number = known.entries[frame_on_screen(viewer, hr)]
    taken = known.times[number : number + 1]
    if not clock.known or not taken:
        return f"HR {number}"
    return f"HR {number} at {moment((clock.at(taken).times_ps[0] - clock.times_ps[0]) / PICOSECONDS)}"

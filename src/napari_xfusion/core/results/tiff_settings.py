"""Metadata of TIFF files: for ImageJ where it supports the dtype, else OME or tifffile's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_xfusion.core.recordings.recorded import KEY

CLASSIC_LIMIT = 2**32 - 2**20
"""Largest size in bytes of a classic TIFF, with a margin."""
PAGE_TAGS = 512
"""Upper limit of the bytes of one page's tags."""


def tiff_settings(
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    *,
    pixel_size: float | None,
    interval: float | None,
    hr_times: Sequence[float],
    viewer: Sequence[tuple[str, str]] = (),
    recording: str = "",
    ome: bool = False,
    uuid: str | None = None,
    compressed: bool = False,
) -> dict[str, Any]:
    """Return the arguments of ``tifffile.imwrite`` for a sequence of ``shape`` (T, H, W) and its metadata.

    ``pixel_size`` in micrometres, ``interval`` in seconds, ``hr_times`` in LR frame numbers, ``viewer`` as in
    ``Metadata.viewer``, ``recording`` as in ``OutputSpec``. ImageJ where Fiji opens the file (uint8, uint16, float32,
    below 4 GB) and ``ome`` is not requested; else OME, which needs a ``uuid``; else tifffile's JSON.
    """
    T, H, W = shape
    tags = dict(viewer)
    orientation, photometric = tags.pop("orientation", None), tags.pop("photometric", "minisblack")
    size = T * H * W * dtype.itemsize
    size += PAGE_TAGS * T + len(recording) + (size // 64 if compressed else 0)  # noise does not shrink
    big = size > CLASSIC_LIMIT
    times = {"hr_times": ",".join(repr(float(t)) for t in hr_times)} if hr_times else {}
    times |= {KEY: recording} if recording else {}
    steps = {} if interval is None else {"finterval": interval}
    settings: dict[str, Any]
    # Without a uuid a single frame is written as a sequence of one in JSON; ImageJ drops its first axis.
    if not ome and not big and dtype.name in ("uint8", "uint16", "float32") and (uuid or T > 1):
        unit = {} if pixel_size is None else {"unit": "um"}
        # All six axes, because a side of 1 would otherwise be read as samples.
        calibration = tags if dtype.kind == "u" else {}  # ImageJ has none for floats
        metadata = {"axes": "TZCYXS", **times, **unit, **steps, **calibration}
        settings = {"imagej": True, "shape": (T, 1, 1, H, W, 1), "metadata": metadata}
    elif uuid and dtype.name != "float16":  # OME has no float16
        settings = {"ome": True, "shape": shape, "metadata": {"axes": "TYX", "UUID": uuid}}
        # The default units of OME are micrometres and seconds.
        lines = [f"{key}={value}" for key, value in (times | tags).items()]
        settings["metadata"] |= {"Description": "\n".join(lines)} if lines else {}
        settings["metadata"] |= {} if pixel_size is None else {f"PhysicalSize{x}": pixel_size for x in "XY"}
        settings["metadata"] |= {} if interval is None else {"TimeIncrement": interval}
    else:
        settings = {"ome": False, "shape": shape, "metadata": {"axes": "TYX", **times, **steps, **tags}}
    if pixel_size is not None:
        per_unit, unit_name = (1.0, "NONE") if "imagej" in settings else (1e4, "CENTIMETER")
        settings |= {"resolution": (per_unit / pixel_size,) * 2, "resolutionunit": unit_name}
    if orientation is not None:
        settings["extratags"] = [(274, "H", 1, int(orientation), False)]
    return settings | {"bigtiff": big, "photometric": photometric}

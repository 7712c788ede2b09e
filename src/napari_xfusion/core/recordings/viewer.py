"""How a viewer shows what is stored: ImageJ's calibration, TIFF's orientation, min-is-white.

Nothing of it is applied: values and rows are read as stored, and results are written with the same description.
See ``Metadata.viewer``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from napari_xfusion.errors import XFusionWarning

Viewer = tuple[tuple[str, str], ...]
CALIBRATION = ("cf", "c0", "c1", "c2", "c3", "c4", "vunit")
"""ImageJ's function, its parameters and its unit."""
ORIENTATIONS = {
    "2": "mirrored left to right",
    "3": "turned by 180 degrees",
    "4": "mirrored top to bottom",
    "5": "transposed",
    "6": "turned by 90 degrees",
    "7": "transposed and turned by 180 degrees",
    "8": "turned by 270 degrees",
}
"""Of TIFF; 1 is upright."""


def viewer_of(keys: Mapping[str, object]) -> Viewer:
    """What a file's ``keys`` say to a viewer; nothing of keys that change nothing or make no sense."""
    shown = {
        "orientation": str(keys.get("orientation")) in ORIENTATIONS,
        "photometric": keys.get("photometric") == "miniswhite",
    }
    return (*calibration_of(keys), *((key, str(keys[key])) for key, known in shown.items() if known))


def calibration_of(keys: Mapping[str, object]) -> Viewer:
    """How ImageJ calculates grey values from stored ones, nothing where they are the same."""
    found = {x: str(keys[x]).strip() for x in CALIBRATION if x in keys}
    same = _is(found.get("c0", "0"), 0) and _is(found.get("c1", "1"), 1) and _is(found.get("cf", "0"), 0)
    return () if same or "c0" not in found or "c1" not in found else tuple(found.items())


def viewer_warnings(viewer: Viewer, where: object) -> Iterator[XFusionWarning]:
    """Warnings that what ``viewer`` says is not applied."""
    said = dict(viewer)
    if parameters := [f"{k} = {v}" for k, v in viewer if k in CALIBRATION[:-1]]:
        unit = f" {said['vunit']}" if "vunit" in said else ""
        text = (
            f"ImageJ shows its values as c0 + c1 x value ...{unit}, with {', '.join(parameters)}. "
            "Values are fused as stored. Results have the same calibration, except float32 in ImageJ's format."
        )
        yield XFusionWarning("calibration", text, str(where))
    if "orientation" in said:
        text = (
            f"TIFF orientation {said['orientation']} ({ORIENTATIONS[said['orientation']]}) is not applied: rows and "
            "columns are read as stored, as in ImageJ. Flip or turn the frames if those of the other camera are "
            "stored upright."
        )
        yield XFusionWarning("orientation", text, str(where))
    if "photometric" in said:
        text = "Its smallest value is white (min-is-white); values are read as stored, not inverted."
        yield XFusionWarning("min-is-white", text, str(where))


def _is(text: str, value: float) -> bool:
    try:
        return float(text) == value
    except ValueError:
        return False

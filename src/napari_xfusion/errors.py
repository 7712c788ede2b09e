"""Errors and warnings as data; the command line, the window and Python each put them into their own words.

A text mentions a setting as ``{hr_times}``; ``render`` fills in what a front end calls it. Code reacts to the class
of an error and to its fields, never to wording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SETTINGS = frozenset(
    [
        "method",
        "model",
        "hr_times",
        "hr_step",
        "hr_start",
        "lr_normalise",
        "hr_normalise",
        "lr_time_offset",
        "hr_time_offset",
        "separation",
        "correct",
        "keep_flicker",
        "hr_frames",
        "frames",
        "region",
        "rig",
        "extent",
        "grey",
        "dtype",
        "device",
        "precision",
        "tile",
        "output",
        "overwrite",
        "std",
        "interval",
        "coverage",
        "attention",
        "methods",
        "budget",
        "crop",
        "rate",
        "init",
        "batch",
        "jobs",
        "plan",
        "preset",
        "points",
        "way",
        "pixel_size_lr",
        "pixel_size_hr",
        "source",
        "exposure_ns",
    ]
)
"""What a text may mention in braces: fields of a plan, and arguments of a run, a training or a study."""
_SETTING = re.compile(r"\{([a-z_]+)\}")
_END = re.compile(r"[.!?][\"')]*$")

Names = Callable[[str], str]
"""What a front end calls a setting."""


class XFusionError(Exception):
    """An error with a remedy.

    ``subject`` is what it is about (a file, a stack, a frame), or None where that is ``setting``, the name of a
    field of a plan or argument such as ``hr_times``. What is wrong is ``problem`` where that is given, else
    that ``found`` is not what was ``expected``; ``hint`` is the remedy.
    """

    def __init__(
        self,
        subject: object = None,
        *,
        hint: str,
        expected: str = "",
        found: str = "",
        problem: str = "",
        setting: str | None = None,
    ) -> None:
        self.subject = "" if subject is None else str(subject)
        self.setting, self.hint, self.expected, self.found = setting, hint, expected, found
        self.problem = problem or f"expected {expected}, found {found}"
        super().__init__(self.subject, setting, self.problem, hint)

    def __reduce__(self) -> tuple[Callable[..., XFusionError], tuple[object, ...], dict[str, object]]:
        return _bare, (type(self), self.args), vars(self)

    def __str__(self) -> str:
        return render(self)


class InputError(XFusionError):
    """A file, folder or array is not the stack it should be."""


class DamagedFileError(InputError):
    """A file is truncated or does not hold what it declares."""


class AmbiguousFileError(InputError):
    """A file contains several sequences, one of which has to be chosen."""

    choices: tuple[tuple[str, tuple[int, ...], str], ...] = ()
    """Path inside the file, shape and dtype of each."""


class PairingError(XFusionError):
    """The two stacks do not fit together in size, time or grey scale."""


class UnknownTimesError(PairingError):
    """Neither the plan nor the HR file gives the times of the HR frames."""


class CalibrationError(PairingError):
    """What two cameras show does not determine how one lies on the other."""


class ClockError(PairingError):
    """The recordings do not tell the time between their clocks."""

    reason = ""
    """``few``, ``static``, ``ambiguous`` or ``uncertain``, see ``core.rig.content_clock``; '' for other reasons."""


class OutputError(XFusionError):
    """The result cannot be written, or something else stands in its place."""


class OutputExistsError(OutputError):
    """A file that is not this run's result has the name of the output."""


class WriteError(OutputError):
    """The system refused to write the output."""

    saved = 0
    """Frames that are saved; ``found`` names them where there are any."""


class ModelError(XFusionError):
    """A model's weights are missing, damaged or of another kind."""


class DeviceError(XFusionError):
    """The asked device is missing or has too little memory."""


class ClusterError(XFusionError):
    """Workers on this or other machines cannot be used, or were lost."""


class FrameError(XFusionError):
    """Frames failed on several workers; all others are saved."""


class TrainingError(XFusionError):
    """A training cannot continue."""


WARNINGS: dict[str, tuple[str, str]] = {
    "absent-chunks": (
        "Chunks of a Zarr are absent and read as zero, or outside of its shape and not read.",
        "Copy the recording again.",
    ),
    "aligned": (
        "LR is shifted or turned against HR; HR is resampled to LR's pixels, and results back.",
        "Align the cameras where you can: LR does not see one border, and resampling blurs single HR pixels.",
    ),
    "alphabetical": ("Frames whose names have no numbers are in alphabetical order.", "Number the files."),
    "axes-scale": (
        "The frame sizes give no common scale; a row or column seems to be missing or too many.",
        "Crop both to one field of view.",
    ),
    "bad-frames": (
        "Frames of a camera show something else than the frames around them; they are left out.",
        "Check the listed frames.",
    ),
    "bad-pixels": (
        "Pixels of a camera are dead, hot or a time stamp; they are filled in.",
        "Check that nothing real is there.",
    ),
    "blind": (
        "A camera shows nothing in a part of the field, outside its round field or behind an aperture for instance.",
        "Results there come from the other camera alone; crop them if they matter.",
    ),
    "calibration": (
        "The file assigns other values to its stored grey values.",
        "None: stored values are fused.",
    ),
    "border": (
        "The frames have a border with text around the image.",
        "Crop the recording to the stated rows and columns.",
    ),
    "camera-corrected": (
        "The camera corrected frames and flat or dark differently, as far as the files say.",
        "Take flats and darks with the settings of the camera that the recording has (CSR, shading).",
    ),
    "chunks": (
        "The chunks of an HDF5 dataset contain many frames, all of which are decoded to read one.",
        "Rewrite the file with one frame per chunk.",
    ),
    "constant": (
        "All sampled pixels of a recording are equal.",
        "Check shutter, beam and the exported range.",
    ),
    "corrected-twice": (
        "The file says that it was corrected, and flat and dark are applied again.",
        "Use them with uncorrected recordings only.",
    ),
    "cropped": ("A virtual experiment cropped the recording to multiples of 4 pixels.", "None."),
    "dead-pixels": ("Many pixels do not respond to the open beam.", "Check flat and dark."),
    "delayed": (
        "HR frames agree better with LR at other times.",
        "Correct HR start or HR times by the stated delay, or have it corrected (`time`).",
    ),
    "intervals-simulated": (
        "There are too few HR frames to calibrate intervals on the recording: they are those of simulated shots.",
        "Record at least four HR frames; until then, take the intervals as an estimate.",
    ),
    "few-left-out": (
        "The score comes from one or two HR frames; how much it varies from frame to frame is hardly known.",
        "Record more HR frames, or judge methods on a longer recording of the same kind.",
    ),
    "filled-in": (
        "NaN, infinite or fill values were replaced by their neighbours.",
        "Check the listed frames.",
    ),
    "drift": (
        "The brightness of LR changes slowly against HR; it is corrected to that of HR.",
        "Check which camera's brightness is right if it matters.",
    ),
    "flicker": (
        "The brightness of a camera changes from frame to frame; it is corrected.",
        "None.",
    ),
    "format": (
        "The recorded result was made by a version that gave other values.",
        "Compare before replacing it.",
    ),
    "grey-factor": ("A virtual experiment scaled grey values to keep the noise within the dtype.", "None."),
    "first-frame": (
        "The first frame of the camera often differs from the others.",
        "Compare it, and omit it if so.",
    ),
    "frame-rate": (
        "The frame times contradict the frame rate in the file's header.",
        "None: the frame times are used.",
    ),
    "grey-rule": ("The model was trained with another grey rule.", "Use the grey rule of the model."),
    "hr-coverage": ("HR covers a small part of LR.", "Fuse the covered frames, or check HR times or clock."),
    "hr-interval": ("The HR times contradict the frame intervals of the files.", "Check step and times."),
    "hr-times-close": (
        "HR frames are closer together than LR frames.",
        "Give LR frame numbers, not seconds.",
    ),
    "input-changed": ("A recording changed while it was fused.", "Run again when the file is complete."),
    "invalid-pixels": ("A recording contains NaN, infinite or fill values.", "Check the listed frames."),
    "linearised": (
        "The file stores companded grey values; they were made linear.",
        "None.",
    ),
    "lr-psnr": (
        "The noise of a virtual experiment differs from the requested one.",
        "Use a larger recording.",
    ),
    "memory": (
        "Memory ran out; the run continues in smaller tiles.",
        "Close other programs, or set the tile size.",
    ),
    "dynamic-range": (
        "The camera compressed bright greys while it recorded.",
        "Record without extended dynamic range.",
    ),
    "method-skipped": (
        "A method cannot run here and was not judged.",
        "Install its weights, or name the methods to judge.",
    ),
    "min-is-white": ("The file is meant to be shown inverted.", "None: stored values are fused."),
    "misplaced": (
        "LR is shifted or turned against HR.",
        "Align and crop the recordings, or have it corrected (`shift`, `turn`).",
    ),
    "missing-values": ("Values that stand for missing pixels are not applied.", "Replace them by NaN."),
    "negative-numbers": ("Frame numbers below zero come first.", "Check the order of the frames."),
    "no-dark": ("A flat is used without a dark.", "Give the dark of the camera."),
    "no-finite-value": ("The sampled frames contain no finite value.", "Check the recording."),
    "no-match": ("LR does not follow the grey values of HR.", "Check the HR times and the fields of view."),
    "not-examined": (
        "A recording has more than 10 000 frames, or 2 billion pixels; bad frames and flicker are not looked for.",
        "Fuse a shorter recording where they matter.",
    ),
    "one-hr-frame": ("One HR frame is used for all targets.", "Give the complete HR recording."),
    "orientation": (
        "The file is meant to be shown flipped or turned.",
        "Turn it if the other camera's is not.",
    ),
    "orientations-differ": (
        "The files say that LR and HR are stored flipped or turned against each other.",
        "Turn one recording.",
    ),
    "outside-training": (
        "Noise, HR distance or separation lie outside those of the training.",
        "Compare with `flow`.",
    ),
    "palette": ("The grey palette of the file is not linear.", "None: stored values are fused."),
    "pixel-sizes": (
        "The pixel sizes in the files contradict the frame sizes.",
        "Correct them, or crop one recording.",
    ),
    "pattern": (
        "The pixels of LR differ in sensitivity; it is corrected.",
        "None; take flat fields where you can.",
    ),
    "planned-frames": (
        "The recording has fewer frames than planned.",
        "Open its folder, or fuse what there is.",
    ),
    "poor-agreement": (
        "LR and binned HR correlate poorly at common times.",
        "Check HR times and fields of view.",
    ),
    "precision": ("The processor emulates the precision.", "Use float32."),
    "response": (
        "LR values do not follow HR values by a straight line; the curve is corrected.",
        "None; export linear values where the camera can.",
    ),
    "retimed": (
        "HR frames agree better with LR at other times; these are used.",
        "Correct HR start or HR times by the stated delay.",
    ),
    "same-recording": ("LR and HR are one file.", "Give two recordings of one event."),
    "saturated": ("Many pixels share the highest value.", "Reduce exposure; saturated structure is lost."),
    "score-shift": (
        "HR frames that are left out are predicted better with LR at another place on HR.",
        "Calibrate the cameras, or have the shift corrected (`shift`); judge again.",
    ),
    "score-time": (
        "HR frames that are left out are predicted better with other HR times.",
        "Correct HR start or HR times as stated, or have it corrected (`time`); judge again.",
    ),
    "shading": (
        "The illumination of the two cameras differs across the field; it is corrected.",
        "None; take flat fields where you can.",
    ),
    "sidecar": (
        "A file next to the frames, which describes them, is damaged or of another recording.",
        "Copy the one of this recording, or remove it.",
    ),
    "spikes": (
        "A camera shows bright or dark pixels in single frames only; they are filled in.",
        "Check that no sparks are lost.",
    ),
    "stamped-pixels": (
        "The first pixels of each frame contain a time stamp of the camera instead of light.",
        "None: they give the frame times, and fusion fills them in.",
    ),
    "times-resolution": (
        "The numbers of the frame times are too coarse for the frame interval.",
        "Store times as integer nanoseconds.",
    ),
    "times-unit": ("The frame times have no unit.", "Give the dataset an attribute `units`."),
    "times-unused": ("The axis of frames is no axis of time.", "Give the dataset of the frame times."),
    "unfamiliar": (
        "The recording looks different from those that the network was trained on, in what the warning names.",
        "Judge it: `napari-xfusion score`. Take `flow`, or adapt the network: `napari-xfusion adapt`.",
    ),
    "unused-fields": (
        "The file contains flats or darks that are not applied.",
        "Give `own` as flat and dark, or use frames as stored.",
    ),
    "unfinished-frame": (
        "The last frame of a folder is not complete and is left out.",
        "Open the folder again, or use Refresh in napari, once it is written.",
    ),
    "uneven-numbers": ("Frame numbers increase in unequal steps.", "Check for missing frames."),
    "unsure-times": (
        "Frame times are absent, impossible or repaired.",
        "Compare the intervals with the camera's settings.",
    ),
    "unverified": (
        "The layout of the file is not documented and was not verified with a file of a camera.",
        "Compare a frame with the camera's software.",
    ),
    "uneven-times": (
        "Some frames are much further apart in time than others.",
        "Check for dropped frames or a change of the frame rate.",
    ),
    "unset-clock": (
        "The camera's clock was not set or the trigger time is wrong.",
        "Times count from the first frame.",
    ),
    "unlike": ("Some HR frames show something else than LR.", "Check those frames and their times."),
    "unlike-pixels": (
        "Some HR pixels have values that LR does not show.",
        "Crop labels and time stamps; results are wrong at these pixels only.",
    ),
}
"""What each warning means and what to do, by its code; docs/trouble.md shows it."""


@dataclass(frozen=True)
class XFusionWarning:
    """Something odd that does not stop a run; a value, never raised."""

    code: str
    """A key of ``WARNINGS``, such as ``constant``; code and tests tell warnings apart by it."""
    text: str
    """A sentence, with settings as ``{hr_times}``."""
    subject: str = ""
    """The file or stack it is about; '' where it is about the whole run."""

    def __str__(self) -> str:
        return render(self)


def render(said: XFusionError | XFusionWarning, name: Names = str) -> str:
    """The sentences of an error or a warning in one line, where a setting is called ``name(setting)``."""
    if isinstance(said, XFusionWarning):
        subject, sentences = said.subject, [said.text]
    else:
        subject = said.subject or (name(said.setting) if said.setting else "")
        sentences = [said.problem, said.hint]
    if not subject:
        sentences[0] = _capital(sentences[0])
    text = " ".join(map(_ended, [sentences[0], *map(_capital, sentences[1:])]))
    return with_names(" ".join((f"{subject}: {text}" if subject else text).split()), name)


def with_names(text: str, name: Names) -> str:
    """``text`` with every setting in braces as ``name`` calls it; other braces stay."""
    return _SETTING.sub(lambda found: name(found[1]) if found[1] in SETTINGS else found[0], text)


def _ended(text: str) -> str:
    return text if _END.search(text) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _bare(kind: type[XFusionError], args: tuple[object, ...]) -> XFusionError:
    """An error without its fields, which unpickling adds."""
    return kind.__new__(kind, *args)


@contextmanager
def writing(
    subject: object,
    *,
    expected: str = "a place to write",
    hint: str = "choose another",
    also: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn what the system, and a library in ``also``, says against writing to ``subject`` into a WriteError."""
    kinds: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except kinds as error:
        raise WriteError(subject, expected=expected, found=reason_of(error), hint=hint) from error


def reason_of(error: Exception) -> str:
    """What the system, or a library, says."""
    return getattr(error, "strerror", None) or str(error)

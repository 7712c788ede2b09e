"""Sequences lie where and when they were taken, and come back from a layer as they went in."""

from itertools import product

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_xfusion.core.rig import Mapping
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError, PairingError
from napari_xfusion.ui.shared import layers
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from tests.sequences import stack

UNITS = {
    "um and s": {"pixel_size": 2.0, "interval": 2e-5},
    "pixels and frames": {},
}


def sequences(scale: int, units: str, hr_frames: int = 4, **hr_fields) -> tuple[Stack, Stack]:
    """LR (13, 6, 10) and HR (4, ...) of one field of view; HR is what knows the pixel size."""
    rng = np.random.default_rng(0)
    lr = rng.integers(0, 1000, (13, 6, 10), dtype=np.uint16)
    hr = rng.integers(0, 1000, (hr_frames, 6 * scale, 10 * scale), dtype=np.uint16)
    known = dict(UNITS[units])
    pixel = known.pop("pixel_size", None)
    low, high = stack(lr, "melt01/lr.tif", **known), stack(hr, "melt01/hr.tif", pixel_size=pixel, **hr_fields)
    return low, high


def image(shown: layers.LayerData) -> Image:
    return Image(shown.data, **shown.options)


def edges(layer: Image) -> np.ndarray:
    """First and last pixel edge, down and across, in the units of the scene, (2, 2)."""
    half = np.asarray(layer.scale[-2:]) / 2
    centres = layer.extent.world[:, -2:]
    return np.stack([centres[0] - half, centres[1] + half])


def placed(scale):
    return {"mapping": Mapping.scaled((scale, scale))}


@pytest.mark.parametrize(("scale", "units"), [*product((2, 3, 4), UNITS)])
def test_lr_hr_and_what_is_made_from_them_lie_upon_each_other(scale, units):
    lr, hr = map(image, layers.sequence_pair(*sequences(scale, units), hr_times=(0, 4, 8, 12)))
    side = float(hr.scale[-1])
    made = {
        "fused, from LR": (lr, (13, 6 * scale, 10 * scale), 1 / scale),
        "fused, from HR": (hr, (13, 6 * scale, 10 * scale), 1.0),
        "attention, from HR": (hr, (13, 6, 10), scale),
        "one frame, from LR": (lr, (6 * scale, 10 * scale), 1 / scale),
    }
    derived = [
        image(
            layers.derived_layer(
                origin,
                np.zeros(shape, np.float32),
                name=name,
                role="fused",
                **placed(coarseness),
            )
        )
        for name, (origin, shape, coarseness) in made.items()
    ]
    for layer in (lr, hr, *derived):
        assert np.abs(edges(layer) - edges(hr)).max() <= 0.01 * side, layer.name
        assert layer.units[-2:] == hr.units[-2:]
        assert layer.scale[0] == pytest.approx(lr.scale[0]) or layer.ndim == 2
    assert lr.data.shape[0] == hr.data.shape[0] == 13
    assert str(lr.units[0]) == ("second" if units == "um and s" else "pixel")


FOUR = Mapping.scaled((4, 4))
TURNED = Mapping(linear=((0.5, 3.9), (-4.1, 0.4)), shift=(2, 50))


@pytest.mark.parametrize(
    "mapping", [FOUR, Mapping.scaled((2.92, 2.93)), TURNED], ids=["4", "per axis", "turned"]
)
def test_an_lr_layer_lies_where_the_mapping_says(mapping):
    lr = stack(np.zeros((5, 6, 10), np.uint16), interval=2e-5)
    layer = image(layers.sequence_layer(lr, role="lr", mapping=mapping, pixel_size=1.5))
    for pixel in ((0, 0), (5, 9), (-0.5, 3)):
        y, x = 1.5 * mapping.to_output(pixel)
        assert layer.data_to_world((3, *pixel)) == pytest.approx((6e-5, y, x))
    # What is made from it on the output grid lies there, without turn or shift.
    fused = image(
        layers.derived_layer(
            layer, np.zeros((5, 40, 40), np.float32), name="f", role="fused", mapping=mapping.inverse, first=2
        )
    )
    for pixel in ((0, 0), (39, 17)):
        assert fused.data_to_world((1, *pixel)) == pytest.approx((6e-5, 1.5 * pixel[0], 1.5 * pixel[1]))


def test_what_is_made_from_a_turned_layer_is_turned_with_it():
    origin = Image(np.zeros((5, 8, 8)), scale=(1, 2, 2), translate=(0, 7, 3), rotate=30)
    origin.affine = np.diag([1, 3, 3, 1])
    layer = image(
        layers.derived_layer(origin, np.zeros((5, 2, 2), np.float32), name="x", role="std", mapping=FOUR)
    )
    for coarse, fine in (((0, 0, 0), (0, 1.5, 1.5)), ((2, 1, 0), (2, 5.5, 1.5))):
        assert layer.data_to_world(coarse) == pytest.approx(origin.data_to_world(fine))


def test_a_part_of_a_sequence_lies_at_its_time():
    lr, _ = map(image, layers.sequence_pair(*sequences(4, "um and s"), hr_times=(0, 4, 8, 12)))
    part = image(
        layers.derived_layer(lr, np.zeros((3, 6, 10), np.float32), name="part", role="fused", first=5)
    )
    assert part.extent.world[:, 0] == pytest.approx([5 * 2e-5, 7 * 2e-5])


def test_hr_shows_for_every_lr_frame_the_last_one_before_it():
    lr, hr = sequences(4, "um and s")
    shown = image(layers.sequence_pair(lr, hr, hr_times=(0, 4, 8, 12))[1])
    for t, k in ((0, 0), (3, 0), (4, 1), (11, 2), (12, 3)):
        assert np.array_equal(np.asarray(shown.data[t]), hr.frame(k))
    assert stack_of(shown) is hr


def test_hr_without_times_covers_the_sequence_and_says_that_they_are_not_known():
    lr, hr = layers.sequence_pair(*sequences(4, "pixels and frames"))
    assert hr.data.shape[0] == lr.data.shape[0]
    assert hr.options["name"] == "melt01 · HR (times not known)"
    assert lr.options["name"] == "melt01 · LR"


def test_showing_a_frame_reads_that_frame_alone():
    read = []
    sequence, _ = sequences(4, "um and s")
    watched = Stack(**{**vars(sequence), "read": lambda i: (read.append(i), sequence.read(i))[1]})
    data = layers.lazy_frames(watched)
    assert read == []
    np.asarray(data[7])
    assert read == [7]
    assert data.chunksize == (1, 6, 10)


def test_contrast_is_that_of_the_sequence():
    lr, _ = sequences(4, "um and s")
    low, high = layers.sequence_layer(lr, role="lr").options["contrast_limits"]
    frames = np.stack([lr.frame(i) for i in (0, 4, 8, 12)])
    assert (low, high) == pytest.approx(tuple(np.percentile(frames, (0.35, 99.65))))


def test_a_plain_layer_becomes_a_sequence_with_its_scale():
    layer = Image(
        np.arange(5 * 4 * 6).reshape(1, 5, 4, 6).astype(np.uint16),
        scale=(1, 0.5, 2500, 2500),
        units=("pixel", "ms", "nm", "nm"),
    )
    sequence = stack_of(layer)
    assert sequence.shape == (5, 4, 6)
    assert sequence.pixel_size == pytest.approx(2.5)
    assert sequence.clock.interval == pytest.approx(5e-4)
    assert np.array_equal(sequence.frame(3), layer.data[0, 3])


def test_a_plain_layer_in_pixels_knows_neither_size_nor_time():
    sequence = stack_of(Image(np.zeros((5, 4, 6), np.uint16), scale=(3, 2, 2)))
    assert (sequence.pixel_size, sequence.clock.interval) == (None, None)


def test_data_that_the_user_changed_are_taken_as_they_are():
    lr, _ = map(image, layers.sequence_pair(*sequences(4, "um and s"), hr_times=(0, 4, 8, 12)))
    sequence = stack_of(lr)
    assert len(sequence) == 13
    lr.data = lr.data[2:9]
    assert len(stack_of(lr)) == 7
    assert stack_of(lr).clock.interval == pytest.approx(sequence.clock.interval)


def test_a_copy_that_napari_makes_is_the_same_sequence():
    from napari.components import ViewerModel
    from napari.layers._layer_actions import _duplicate_layer

    model = ViewerModel()
    shown = layers.sequence_pair(*sequences(4, "um and s"), hr_times=(0, 4, 8, 12))[1]
    layer = model.add_image(shown.data, **shown.options)
    model.layers.selection = {layer}
    _duplicate_layer(model.layers)
    assert stack_of(model.layers[1]) is stack_of(layer)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: Image(np.zeros((9, 9, 3), np.uint8), rgb=True), "colour"),
        (lambda: Labels(np.zeros((3, 9, 9), np.uint8)), "Labels layer"),
        (lambda: Image(np.zeros((3, 2, 9, 9))), "one axis"),
        (lambda: Image(np.zeros((3, 1, 9, 9))), "third axis"),
        (lambda: Image(np.zeros((3, 9, 9), bool)), "mask"),
    ],
    ids=["colour", "labels", "two axes", "an axis after time", "mask"],
)
def test_a_layer_that_is_no_sequence_is_refused_with_a_hint(layer, words):
    with pytest.raises(InputError, match=words):
        stack_of(layer())


def test_sequences_that_do_not_fit_are_refused():
    lr, _ = sequences(4, "um and s")
    with pytest.raises(PairingError, match="one scale"):
        layers.sequence_pair(lr, stack(np.zeros((4, 24, 24), np.uint16)))


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("runs/melt01/lr.tif", "melt01"),
        ("runs/melt01_hr.ome.tif", "melt01"),
        ("runs/melt01-LR.tif", "melt01"),
        ("runs/bubble.zarr", "bubble"),
        ("array", "array"),
    ],
)
def test_a_sequence_is_called_by_its_file_or_its_folder(source, title):
    assert layers.sequence_title(stack(np.zeros((1, 2, 2)), source)) == title


def test_names_say_what_a_layer_is():
    assert layers.layer_name("melt01", "fused", "edvr-stf") == "melt01 · fused (edvr-stf)"
    assert layers.layer_name("melt01", "lr") == "melt01 · LR"


def test_an_existing_layer_takes_another_sequence_and_keeps_its_look():
    lr, hr = sequences(4, "um and s")
    layer = image(layers.sequence_layer(hr, role="sequence"))
    layer.colormap = "magma"
    layers.redraw(layer, layers.sequence_pair(lr, hr, hr_times=(0, 4, 8, 12))[1])
    assert layer.colormap.name == "magma"
    assert layer.data.shape[0] == 13
    assert provenance_of(layer).role == "hr"
    assert stack_of(layer) is hr


def test_a_truth_is_not_renamed_to_what_it_is_chosen_for():
    truth, hr = sequences(1, "um and s")
    truth = image(layers.sequence_layer(truth, role="truth", name="melt01 · truth"))
    hr = image(layers.sequence_layer(hr, role="hr"))
    assert not layers.arrange(truth, hr, (0, 4, 8, 12))
    assert (truth.name, provenance_of(truth).role) == ("melt01 · truth", "truth")


def test_sequences_are_arranged_once_it_is_known_how_they_pair():
    lr, hr = (
        image(layers.sequence_layer(sequence, role="sequence")) for sequence in sequences(4, "um and s")
    )
    assert (lr.name, hr.name) == ("lr", "hr")
    assert layers.arrange(lr, hr, (0, 4, 8, 12))
    assert (lr.name, hr.name) == ("melt01 · LR", "melt01 · HR")
    assert np.abs(edges(lr) - edges(hr)).max() < 1e-9
    assert len(hr.data) == 13
    assert not layers.arrange(lr, hr, (0, 4, 8, 12))
    assert layers.arrange(lr, hr, (0, 3, 6, 9))
    assert np.array_equal(np.asarray(hr.data[3]), stack_of(hr).frame(1))


def test_layers_of_others_are_not_moved():
    lr, hr = (Image(np.zeros(shape, np.uint16)) for shape in ((9, 8, 8), (3, 32, 32)))
    assert not layers.arrange(lr, hr, (0, 4, 8))
    assert list(lr.scale) == [1, 1, 1]


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_layer_lies_upon_another_one_wherever_that_is(ndim):
    place = {
        "scale": (2.0, 3.0, 4.0),
        "translate": (5, 6, 7),
        "rotate": (0, 0, 20),
        "units": ("s", "um", "um"),
    }
    below = Image(np.zeros((4, 20, 30)), **place)
    above = Image(np.zeros((9, 8, 12)[-ndim:]), scale=(7,) * ndim)
    mapping = Mapping(linear=((2.5, -0.3), (0.2, -2.6)), shift=(1.0, 25.0))
    time = np.asarray(above.data_to_world((3,) * ndim))[:-2]
    for _ in range(2):
        layers.lie_upon(above, below, mapping)
        for pixel in [(0.0, 0.0), (7.0, 11.0), (2.5, 3.0)]:
            world = np.asarray(above.data_to_world((*(3,) * (ndim - 2), *pixel)))
            there = below.world_to_data((0.0, *world[-2:]))[-2:]
            assert there == pytest.approx(mapping.to_output(pixel))
            assert world[:-2] == pytest.approx(time)
    assert above.scale[-2:] == pytest.approx(np.multiply((3.0, 4.0), mapping.scale))

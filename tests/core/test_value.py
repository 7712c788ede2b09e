"""Values that are saved as JSON."""

from napari_xfusion.core.rig.photometry import Photometry


def test_a_copy_with_other_fields_keeps_nothing_that_was_computed_from_those_it_had():
    before = Photometry()
    assert before.good
    assert not before.model_copy(update={"lines": ((2.0, 0.0),)}).good
    assert before.good
    assert before.model_copy() == before

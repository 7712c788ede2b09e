"""The plan of a training."""

from napari_xfusion.lab.train.plan import LITE, make_train_plan


def test_the_command_in_a_card_tells_no_folders():
    plan = make_train_plan(
        variant="lite",
        sizes=LITE,
        data=("scenes", "/home/somebody/sequences/melt.tif"),
        init="/home/somebody/first.safetensors",
        iterations=10,
    )
    assert plan.command.startswith("napari-xfusion train scenes melt.tif -o DIR --variant lite ")
    assert "--init first.safetensors" in plan.command
    assert "somebody" not in plan.command

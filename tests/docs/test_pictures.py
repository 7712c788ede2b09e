"""The check of the pictures' age tells what changed since they were taken."""

import shutil
import sys

from tests.docs.blocks import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import pictures


def test_a_change_of_the_window_makes_pictures_old(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    kept = tmp_path / "made-from.txt"
    assert "src/napari_xfusion/ui/inspection/plots.py" in pictures.changed(kept, tmp_path)
    pictures.record(kept, tmp_path)
    assert pictures.changed(kept, tmp_path) == []
    plots = tmp_path / "src" / "napari_xfusion" / "ui" / "inspection" / "plots.py"
    plots.write_text(plots.read_text() + "\n")
    (tmp_path / "src" / "napari_xfusion" / "ui" / "shared" / "words.py").unlink()
    (tmp_path / "src" / "napari_xfusion" / "core" / "run.py").write_text("")  # no part of the window
    assert pictures.changed(kept, tmp_path) == [
        "src/napari_xfusion/ui/inspection/plots.py",
        "src/napari_xfusion/ui/shared/words.py",
    ]

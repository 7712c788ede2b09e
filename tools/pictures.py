"""Whether the pictures of the window are those of the code: pictures.py record|check.

What the window looks like comes from napari_xfusion.ui, the sample sequence and the test that takes the pictures.
``record``, run when pictures were taken, writes a checksum of these into docs/images/made-from.txt; ``check``
compares. It is for releases: a changed word in a tooltip makes pictures old, too, and nobody takes new ones
for each commit.
"""

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHOWN = (
    "src/napari_xfusion/ui/**/*.py",
    "src/napari_xfusion/napari.yaml",
    "sample_data/**/*.tif",
    "tests/ui/test_journey.py",
)
KEPT = ROOT / "docs" / "images" / "made-from.txt"


def made_from(root: Path = ROOT) -> dict[str, str]:
    """sha256 of every file that the pictures show, by name."""
    paths = sorted(path for pattern in SHOWN for path in root.glob(pattern))
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def record(kept: Path = KEPT, root: Path = ROOT) -> None:
    """Say that the pictures were taken of the code as it is."""
    lines = [f"{digest}  {name}" for name, digest in made_from(root).items()]
    kept.write_text("\n".join(lines) + "\n", encoding="utf-8")


def changed(kept: Path = KEPT, root: Path = ROOT) -> list[str]:
    """Files that were changed, added or removed since the pictures were taken."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    before = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    now = made_from(root)
    return sorted(name for name in before | now if before.get(name) != now.get(name))


def main() -> int:
    """Exit status: 0 fresh, 1 old."""
    if sys.argv[1:] == ["record"]:
        record()
        return 0
    old = changed()
    if not KEPT.exists():
        sys.stderr.write(
            f"not known what the pictures were made from: there is no {KEPT.name}; make pictures\n"
        )
    elif old:
        sys.stderr.write(f"pictures are older than {', '.join(old)}: make pictures\n")
    return bool(old)


if __name__ == "__main__":
    sys.exit(main())

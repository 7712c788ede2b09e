"""The package as a whole: what importing it costs, and that arrows point downward."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import napari_xfusion
from tests.layers import LAYERS, as_text

PACKAGE = Path(napari_xfusion.__file__).parent
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def part_of(module: str) -> str | None:
    """The part of the package that a module belongs to; None for the package itself and foreign modules."""
    parts = module.split(".")
    if parts[0] != "napari_xfusion" or len(parts) == 1:
        return None
    if parts[1] in ("core", "lab", "ui"):
        return ".".join(parts[1:3]) if len(parts) > 2 else None
    return parts[1] if parts[1] in LEVEL else None


@cache
def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def modules() -> list[tuple[str, Path]]:
    return [
        (".".join(["napari_xfusion", *path.relative_to(PACKAGE).with_suffix("").parts]), path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent != PACKAGE or path.name != "__init__.py"
    ]


def test_imports_go_downward():
    for module, path in modules():
        part = part_of(module.removesuffix(".__init__"))
        if part is None:
            continue
        for imported in imports(path):
            target = part_of(imported)
            if target is None or target == part:
                continue
            assert target in LEVEL, f"{target} has no place among the layers"
            assert LEVEL[target] < LEVEL[part], f"{module} imports {imported} from its own layer or above"


def test_contributing_shows_the_order_of_imports():
    assert as_text() in (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("banned", ["napari", "qtpy", "PyQt6", "PySide6"])
def test_the_core_names_no_window(banned):
    for module, path in modules():
        if ".core." in module or ".lab." in module:
            assert not {name for name in imports(path) if name.split(".")[0] == banned}, module


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_package_pulls_in_neither_torch_nor_qt_nor_numpy():
    loaded = loaded_after("import napari_xfusion")
    assert not loaded & {"torch", "napari", "qtpy", "numpy", "pydantic"}


def test_fusing_without_a_network_pulls_in_neither_torch_nor_qt():
    loaded = loaded_after("from napari_xfusion import fuse, fuse_files, open_stack, simulate, evaluate, Plan")
    assert not loaded & {"torch", "napari", "qtpy", "typer"}


def test_a_part_of_scipy_is_loaded_by_what_uses_it():
    """The slowest parts take up to half a second, before a command has said anything."""
    loaded = loaded_after(
        "import napari_xfusion.cli.commands, napari_xfusion.core.check, napari_xfusion.core.run"
    )
    assert "napari_xfusion.core.check" in loaded
    assert not loaded & {
        f"scipy.{part}" for part in ("interpolate", "ndimage", "optimize", "sparse", "stats")
    }


def test_public_names_exist():
    for name in napari_xfusion.__all__:
        assert getattr(napari_xfusion, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = napari_xfusion.nothing


def test_numbers_have_the_same_types_in_every_thread():
    """A window computes in a thread what a command computes in its first one; NumPy before 2.1.2 promotes otherwise."""
    types = []
    thread = Thread(target=lambda: types.append((np.ones(3, np.float32) - np.float64(1 / 3)).dtype))
    thread.start()
    thread.join()
    assert types == [np.float64]

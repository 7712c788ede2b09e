"""The tables of docs/trouble.md are those of the error classes and warning codes.

``python -m tests.docs.test_trouble_tables`` writes them.
"""

import ast
import inspect
import re

from napari_xfusion import errors
from napari_xfusion.errors import WARNINGS, XFusionError
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "trouble.md"


def error_classes():
    classes = (value for value in vars(errors).values() if inspect.isclass(value))
    return [each for each in classes if issubclass(each, XFusionError) and each is not XFusionError]


def tables():
    """Name of each table, and its rows in Markdown."""
    found = {
        "errors": ["| error | meaning |", "|---|---|"],
        "warnings": ["| warning | meaning | do |", "|---|---|---|"],
    }
    for each in error_classes():
        found["errors"].append(f"| `{each.__name__}` | {inspect.getdoc(each).splitlines()[0]} |")
    for code, (meaning, remedy) in sorted(WARNINGS.items()):
        found["warnings"].append(f"| `{code}` | {meaning} | {remedy} |")
    return {name: "\n".join(rows) for name, rows in found.items()}


def filled(page):
    """The page with its tables as they should be."""
    for name, table in tables().items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", rf"\g<1>{table}\g<2>", page, flags=re.DOTALL
        )
    return page


def test_the_tables_are_up_to_date():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- end -->") == len(tables())
    assert page == filled(page), "run python -m tests.docs.test_trouble_tables"


def test_every_warning_has_its_row():
    used = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "XFusionWarning":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: a code is a literal"
                used.add(node.args[0].value)
    assert used == set(WARNINGS)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

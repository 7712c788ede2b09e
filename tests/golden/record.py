"""Record what every method gives on the pairs of ``cases.py``, for tests/core/test_golden.py.

``python -m tests.golden.record``, from the root of the repository, writes ``pins.json`` and ``pins.npz``
anew and lists what has changed. Record anew only where results are meant to change, and say so in the
changelog. To see what would change without writing anything: ``python -m tests.golden.record --check``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.golden.cases import CASES, METHODS, fingerprint, fuse_case, hashes, reduced

PINS, VALUES = (Path(__file__).with_name(name) for name in ("pins.json", "pins.npz"))


def main() -> int:
    """Write the pins; exit status 1 when ``--check`` finds a change."""
    parser = argparse.ArgumentParser(description="Record what every method gives.")
    parser.add_argument("--check", action="store_true", help="only list what has changed")
    check = parser.parse_args().check
    before = json.loads(PINS.read_text("utf-8")) if PINS.is_file() else {"sha256": {}}
    pins, values = compute()
    changed = [key for key, pin in pins["sha256"].items() if before["sha256"].get(key) != pin]
    print("\n".join(f"changed: {key}" for key in changed) or "no change")
    if check:
        return int(bool(changed))
    PINS.write_text(json.dumps(pins, indent=1) + "\n", "utf-8")
    np.savez_compressed(VALUES, **values)
    return 0


def compute() -> tuple[dict[str, Any], dict[str, Any]]:
    """The hashes of every method on every pair, and their reduced frames."""
    pins, values = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            for method in METHODS:
                fused = fuse_case(case, method, Path(folder))
                key = f"{case}, {method}"
                pins[key] = hashes(fused)
                values[key] = reduced(fused.computed)
    return {"fingerprint": fingerprint(), "opencv": cv2.__version__, "sha256": pins}, values


if __name__ == "__main__":
    sys.exit(main())

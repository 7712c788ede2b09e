"""Print what this machine is as JSON; ``device`` is "CPU" where no GPU computes."""

from __future__ import annotations

import json
import os
import platform
import sys

import torch


def device() -> str:
    """``cuda`` where a GPU computes, else ``cpu``: a driver without a GPU or without memory fails here."""
    try:
        torch.ones(16, device="cuda").sum().item()
    except (AssertionError, RuntimeError) as error:
        print(f"no GPU: {str(error).splitlines()[0]}", file=sys.stderr)
        return "cpu"
    return "cuda"


def main() -> None:
    """See the module."""
    found = device()
    facts = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "device": "CPU",
    }
    if found == "cuda":
        free, total = torch.cuda.mem_get_info()
        facts |= {
            "device": torch.cuda.get_device_name(),
            "memory": total,
            "free": free,
            "cuda": torch.version.cuda,
        }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()

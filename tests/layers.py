"""The order of imports, in one list: the test checks the package against it, CONTRIBUTING.md shows it."""

LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "_version",
        "errors",
        "core.quantities",
        "core.catalogue",
        "core.value",
        "core.display",
        "core.allocator",
    ),
    ("core.clock", "core.files", "core.doctor", "core.mapping"),
    ("core.types",),
    ("core.calibration",),
    ("core.plan", "core.grey", "core.degrade", "core.optical_flow", "core.recordings"),
    ("core.rig", "core.inspect"),
    ("core.methods", "core.results"),
    ("core.networks", "core.session", "core.calibration_picture"),
    ("core.holdout",),
    ("core.work",),
    ("core.run", "core.cluster"),
    ("core.check", "core.sequence", "core.batch", "core.trust"),
    ("lab.virtual",),
    ("lab.scenes", "lab.workers"),
    ("lab.train", "lab.demo"),
    ("lab.study", "lab.adapt"),
    ("ui.shared",),
    ("ui.inspection", "ui.fusion"),
    ("ui.experiment", "ui.plugin", "ui.rig"),
    ("cli",),
    ("__main__",),
)
"""Lowest first. A part imports from those above it in this list only."""


def as_text() -> str:
    """The list as CONTRIBUTING.md shows it."""
    return "\n".join(f"{level:2}  {'  '.join(parts)}" for level, parts in enumerate(LAYERS))

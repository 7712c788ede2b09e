"""The paper's experiments on any sharp movie: sweeps, tables, figures, a report."""

from napari_xfusion.lab.study.plan import StudyPlan, preset, read_plan
from napari_xfusion.lab.study.study import Studied, run_study, settle_plan

__all__ = ["Studied", "StudyPlan", "preset", "read_plan", "run_study", "settle_plan"]

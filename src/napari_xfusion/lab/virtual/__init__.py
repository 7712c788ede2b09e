"""Virtual experiments: noise, sampling in time and space, and synthetic radiographs."""

from napari_xfusion.lab.virtual.experiment import Experiment, simulate
from napari_xfusion.lab.virtual.write import write_experiment

__all__ = ["Experiment", "simulate", "write_experiment"]

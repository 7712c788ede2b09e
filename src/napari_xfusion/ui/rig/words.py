"""What is known of two cameras, in a few lines."""

from __future__ import annotations

from napari_xfusion.core.calibration import Calibration, ClockFit, Residuals
from napari_xfusion.core.rig.calibrate import Calibrated


def geometry_words(found: Calibration, made: Calibrated | None = None) -> str:
    """Scale and turn, residuals, the common field; of a fit of this session also its model and the pairs left out."""
    down, across = found.mapping.scale
    mirror = ", mirrored" if found.is_mirrored else ""
    scale = f"scale {down:.4f} x {across:.4f}, turn {found.turn:.2f}°{mirror}"
    lines = [f"{made.fit.model}: {scale}" if made is not None else scale]
    if not found.mapping.is_affine:
        lines.append("Layers are shown without the distortion, and fused with it.")
    if found.residuals is not None:
        lines.append(residual_words(found.residuals))
    lines.append(f"LR shows {found.overlap:.1%} of HR")
    if made is not None and made.dropped:
        numbers = ", ".join(str(number + 1) for number in made.dropped)
        lines.append(f"Pairs {numbers} contradict the others and were left out.")
    return "\n".join(lines)


def residual_words(residuals: Residuals) -> str:
    """How far the points are from the mapping."""
    return (
        f"{residuals.count} points, residual {residuals.rms:.3f} HR pixels RMS, {residuals.largest:.3f} at most, "
        f"{residuals.left_out:.3f} left out"
    )


def clock_words(clock: ClockFit) -> str:
    """Offset with its error bar, drift and source."""
    lr = clock.lr_interval_ns
    drift = f", drift {(clock.rate - 1) * 1e6:+.1f} ppm" if clock.rate != 1 else ""
    return (
        f"HR frame 0 begins {clock.offset_ns / lr:.3f} ± {clock.uncertainty_ns / lr:.3f} LR frames after LR frame 0, "
        f"every {clock.hr_interval_ns / lr:.4g} LR frames{drift} (by {clock.source})"
    )

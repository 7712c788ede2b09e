"""A recording as the judge of its own fusion: HR frames left out, fused from the others and compared."""

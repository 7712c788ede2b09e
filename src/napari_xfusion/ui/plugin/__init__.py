"""What the manifest names beside the panels: reader, writer, sample, menu commands."""

"""What several panels use: layers, work beside the window, colours, widgets."""

"""Parts common to the panels: layers, background jobs, colours, forms, widgets."""

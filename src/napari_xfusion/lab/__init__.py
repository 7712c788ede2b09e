"""Built on fusion and not needed by it: virtual experiments, scenes, training, studies, the demo."""

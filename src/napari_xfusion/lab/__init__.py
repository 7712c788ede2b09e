"""Parts that use fusion but are not needed by it: virtual experiments, scenes, training, studies, the demo."""

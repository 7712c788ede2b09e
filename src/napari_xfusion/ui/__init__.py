"""The window: what napari shows. The core knows nothing of it."""

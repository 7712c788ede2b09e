"""``python -m napari_xfusion.cli``."""

import sys

from napari_xfusion.cli import main

sys.exit(main())

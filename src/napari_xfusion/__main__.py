"""``python -m napari_xfusion``: the command line."""

import sys

from napari_xfusion.cli import main

sys.exit(main())

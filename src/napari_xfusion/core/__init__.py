"""Everything a fusion needs and nothing else, without a window or a command line; never imports ``lab``."""

"""Training: sources of samples, a pool of drawn ones, the loop, and what it keeps.

``clips`` and ``pool`` know nothing of torch: the processes that draw samples start quickly.
"""

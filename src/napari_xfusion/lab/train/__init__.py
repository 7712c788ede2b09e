"""Training: sources of samples, a pool of generated samples, the loop, and its files.

``clips`` and ``pool`` do not import torch, so that the processes that generate samples start quickly.
"""

"""The networks, one file per box of the paper's figure, and their weights in and out.

``cards`` knows files and cards without torch; everything else here imports torch.
"""

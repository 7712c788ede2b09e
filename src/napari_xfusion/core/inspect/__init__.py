"""What a sequence is worth and what it shows: metrics, attention, frame division, LR consistency.

Arrays and sequences in, numbers and sequences out; no fuser is run.
"""

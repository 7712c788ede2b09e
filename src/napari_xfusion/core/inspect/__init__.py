"""What a film is worth and what it shows: metrics, attention, frame division, LR consistency.

Arrays and films in, numbers and films out; no fuser is run.
"""

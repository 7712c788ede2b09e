"""Evaluation of sequences: metrics, attention, frame division, LR consistency.

Inputs are arrays and sequences, outputs numbers and sequences; no method is run.
"""

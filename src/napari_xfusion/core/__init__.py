"""The headless core: files, stacks, pair, fuser, frames, sink. Knows neither napari nor Qt nor typer.

Imports go downward only:
errors < types < {plan, grey, degrade, flow} < {pairing, model, inspect} < {fusers, virtual} < {io, doctor}
< {run, train} < {check, demo, film} < study.
"""

"""How far a result can be trusted: where its detail comes from, and a report of all that is known about it."""

"""The records of a target: its rows, its data-set card, its status."""

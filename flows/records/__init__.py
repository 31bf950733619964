"""What a target says of itself: its rows, its data-set card, its status."""

"""Sample scenes with known clean plates, and comparisons of results."""

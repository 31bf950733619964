"""What people decide on a result, and what is done again for it."""

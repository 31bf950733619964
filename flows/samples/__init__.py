"""Pictures whose clean plate is known, and results beside each other."""

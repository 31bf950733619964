"""What is known of weights without loading them, and how they are read."""

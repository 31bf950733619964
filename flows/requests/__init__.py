"""What is asked of every picture: prompts, masks that somebody made, or annotations."""

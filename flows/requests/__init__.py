"""Requests: what to remove from every picture, by prompts, given masks, or annotations."""

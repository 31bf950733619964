"""Decisions of people about a result, and the redo of pictures."""

"""Threads beside the model, and how they are stopped."""

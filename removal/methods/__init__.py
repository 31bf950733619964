"""The ways to remove with a diffusion checkpoint: a file for each."""

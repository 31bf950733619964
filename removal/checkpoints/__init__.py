"""Checkpoints: facts known without loading them, fetching, single files, LoRAs, autoencoders."""

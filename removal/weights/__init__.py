"""Weights, for masks and removal alike: hub, cache, licences, devices, batches, and the one loading lock."""

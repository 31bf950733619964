"""A finished result to give away."""

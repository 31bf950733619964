"""Bytes to pictures and back, and what is kept of each format."""

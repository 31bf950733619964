"""Annotations that others drew: what they say is to go, and what is left of them afterwards."""

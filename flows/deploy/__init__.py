"""Tracking of a run by Prefect, and other machines that take part in it."""

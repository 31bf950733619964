"""Bytes to pictures and back: what each format holds, and what is kept of it."""

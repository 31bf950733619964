"""Annotations in the formats of other tools: what they mark for removal, and the copy without it."""

"""The command line: verbs, flags, progress, and messages about errors."""

"""The command line: verbs, flags, progress, and words for what is wrong."""

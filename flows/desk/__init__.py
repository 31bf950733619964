"""The person at the keyboard: flags, job files, progress, and words for what is wrong."""

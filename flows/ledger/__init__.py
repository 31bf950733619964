"""What is done, by which settings, and who may write it."""

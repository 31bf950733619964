"""How names are shown to people, and what they may have meant by one that is not there."""

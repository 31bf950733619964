"""A loaded pipeline at work: masked crops in, filled crops out."""

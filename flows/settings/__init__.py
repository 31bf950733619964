"""What single settings may be, and how they become parameters of the command line and of the flow."""

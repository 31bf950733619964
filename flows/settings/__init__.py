"""The values of single settings, and their forms as parameters of the command line and the flow."""

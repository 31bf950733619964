"""The verbs of the command line: a thin file for each kind. `flows/cli/main.py` lists them."""

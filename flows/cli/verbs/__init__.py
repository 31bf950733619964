"""What the command line can do: a file for each kind of verb, thin. `flows/cli/main.py` lists them."""

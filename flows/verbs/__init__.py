"""What the command line can do: a file for each kind of verb, thin. `flows/cli.py` lists them."""

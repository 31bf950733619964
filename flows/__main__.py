"""`python -m flows` is the `cleanplate` command."""

from flows.cli import main

main()

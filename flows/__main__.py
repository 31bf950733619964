"""`python -m flows` is the `cleanplate` command."""

from flows.cli.main import main

main()

"""How fast, and where the limit is: `make bench`. Every tier runs on every machine."""

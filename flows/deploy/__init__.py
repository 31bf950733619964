"""Where a run is tracked, and other machines that take part in it."""

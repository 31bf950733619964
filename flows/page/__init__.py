"""The review page and the picking page: what is on them, how they are written and served."""

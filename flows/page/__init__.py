"""The review page and the picking page: their contents, and how they are written."""

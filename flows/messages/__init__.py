"""Names as they are shown to people, and suggestions for misspelt ones."""

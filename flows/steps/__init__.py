"""One group of pictures: its masks are found, what lies under them is removed, judged and tried again."""

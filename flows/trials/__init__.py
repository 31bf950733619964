"""One picture, several attempts: which ways there are, how each is judged, which one is kept."""

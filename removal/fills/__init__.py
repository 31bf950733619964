"""Fills that need no pipeline: image and mask in, image out."""

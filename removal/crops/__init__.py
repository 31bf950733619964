"""Cut around a mask, share out among devices, paste back."""

"""What runs beside the model, and how it is stopped."""

"""Crops: cut around a mask, painted on one or several devices, pasted back."""

"""Explain what cleartext was caused by. Pure functions over the model."""

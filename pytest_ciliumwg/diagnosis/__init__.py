"""Explain: what cleartext can be put down to. Pure, over the model."""

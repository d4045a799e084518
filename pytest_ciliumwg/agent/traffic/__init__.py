"""Send and serve test traffic, and account for every message."""

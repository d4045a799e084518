"""What a check is, what it verified, and what checks of the suite have in common."""

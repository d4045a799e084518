"""What faults have in common and what injects nothing: moments, windows, transports, consequences."""

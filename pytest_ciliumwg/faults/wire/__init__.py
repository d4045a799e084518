"""Faults of what is on the wire between nodes: packets in cleartext, wrapped, lost, or sent another way."""

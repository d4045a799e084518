"""Faults of what nodes have: peers, keys, allowed IPs, rules, the device, the steering, the configuration."""

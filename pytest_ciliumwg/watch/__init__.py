"""Collect: captures and flows on all nodes, one-shot and continuous, and what the agents told of them."""

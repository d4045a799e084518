"""Speak to agents: typed requests, checked replies."""

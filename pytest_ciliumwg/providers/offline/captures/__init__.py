"""Captures that somebody took: read by headers alone, counted, and put down to nodes and devices."""

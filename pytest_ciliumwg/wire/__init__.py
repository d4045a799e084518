"""Test traffic over a cluster: plan the flows, run them inside one watch, judge what was seen."""

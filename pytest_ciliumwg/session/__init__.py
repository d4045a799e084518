"""The suite's own part of a pytest run: hooks, the cluster's life and its stages, fixtures, the plan."""

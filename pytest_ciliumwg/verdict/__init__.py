"""Decide: from a measurement or a timeline to verdicts. Pure functions: no I/O, no clock."""

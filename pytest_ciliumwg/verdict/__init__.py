"""Decide: from a measurement or a timeline to verdicts. Pure: no I/O, no clock."""

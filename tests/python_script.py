"""The first lines of a Python script that a test writes, to be run by its name."""

from __future__ import annotations

import sys


def start(options: str = "") -> str:
    """By this Python; a first line `#!…` that names it would end at a blank in the project's folder."""
    return f"#!/bin/sh\n'''exec' '{sys.executable}' {options} \"$0\" \"$@\"\n' '''\n"

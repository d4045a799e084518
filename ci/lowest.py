"""Print pip constraints that hold every dependency at its lower bound.

Usage: lowest.py pyproject.toml [GROUP …]; the dependencies and the optional ones always, and these dependency groups.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BOUND = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9][^,;\s]*)")


def constraints(project: dict[str, Any], groups: list[str]) -> Iterator[str]:
    """`NAME==VERSION` of everything that has a lower bound.

    Raises:
        ValueError: a dependency has none.
    """
    wanted = list(project["project"]["dependencies"])
    for optional in project["project"].get("optional-dependencies", {}).values():
        wanted += optional
    for group in groups:
        wanted += [line for line in project["dependency-groups"][group] if isinstance(line, str)]
    for line in dict.fromkeys(wanted):
        found = BOUND.match(line)
        if found is None:
            raise ValueError(f"{line!r} has no lower bound: write NAME>=VERSION")
        yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    read = tomllib.loads(Path(sys.argv[1]).read_text("utf-8"))
    sys.stdout.write("".join(f"{line}\n" for line in constraints(read, sys.argv[2:])))

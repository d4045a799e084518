"""`python -m bench` lists the benches; `python -m bench NAME…` runs some and prints a table of each in Markdown.

With `--json DIRECTORY` it also writes `NAME.json` there. The other modules of this folder are programs of their own.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

BENCHES = {
    "watch": "processor time and losses of the watch beside tcpdump, by kind of traffic (root)",
    "search": "bytes a second that the search for canaries and addresses looks through",
    "idle": "what the plugin costs runs of pytest that do not use it",
    "cluster": "what a run costs its controller by number of nodes, in a cluster that answers without packets",
    "offline": "counting a million frames of captures by format, and judging a sysdump of 100 nodes",
    "lab": "time, processor time and memory of whole labs by number of nodes (root)",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="DIRECTORY")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(BENCHES)):
        parser.error(f"there is no bench {unknown[0]}; there are {', '.join(BENCHES)}")
    if not options.names:
        for name, what in BENCHES.items():
            print(f"{name:8} {what}")
    for name in options.names:
        result = importlib.import_module(f"bench.{name}").main()
        print(result.markdown(), flush=True)
        if options.json:
            result.save(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m bench.packetless.server KUBECONFIG NODES [SOURCE DESTINATION]`: the cluster, until standard input ends.

Says `ready` when it can be asked, and at the end how many requests and execs came, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.packetless.backend import PacketlessBackend
from tests.apidouble import ApiDouble


def main(kubeconfig: str, nodes: str, *leak: str) -> None:
    """Serve."""
    backend = PacketlessBackend(int(nodes), (leak[0], leak[1]) if leak else None)
    with ApiDouble(backend) as double:
        double.kubeconfig(Path(kubeconfig))
        print("ready", flush=True)
        sys.stdin.read()
        execs = sum("/exec?" in line for line in double.journal)
        print(json.dumps({"requests": len(double.journal) - execs, "execs": execs}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

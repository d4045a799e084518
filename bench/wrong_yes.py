"""Ways to an unearned "conformant", and what catches each now: `python -m bench.wrong_yes SELFTEST_JSON`.

Writes docs/wrong-yes.md from the results of `--ciliumwg-selftest --ciliumwg-report=DIR`. Ways that no fault of a lab
can show, such as a mistyped command line, are proven by tests of the project; these must exist.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "wrong-yes.md"
BY_FAULT: dict[str, Sequence[str]] = {
    "all test traffic goes over an unwatched path while others use the tunnel": ("path-unwatched-busy",),
    "one protocol alone, replies alone or some packets alone take another route": (
        "second-route-icmp", "second-route-tcp", "second-route-udp", "second-route-replies", "second-route-small",
        "second-route-some",
    ),
    "XDP carries the packets at both ends, where no capture sees them": ("xdp-both-ends",),
    "a second tunnel masks the packets": ("second-tunnel",),
    "WireGuard itself takes a way that nobody watches": ("tunnel-elsewhere",),
    "the inside of the tunnel is not heard": ("inside-deaf",),
    "other pods' packets are in cleartext": ("leak-other-pods-v4", "leak-other-pods-v6", "leak-other-pods-vxlan"),
    "a test pod's own DNS lookups are in cleartext": ("leak-dns",),
    "a leak passes a router, and so runs between no two nodes": ("leak-router", "leak-other-pods-router"),
    "a second way waits in a routing table": ("second-route-unused",),
    "declared node encryption holds nowhere, or a node opted out": ("node-encryption-nowhere", "node-opted-out"),
    "a node may run pods and has no Cilium": ("node-without-cilium",),
    "a pod runs that Cilium does not know": ("pod-unmanaged",),
    "strict mode is of another direction than declared": ("strict-egress-other", "strict-ingress-other"),
    "a peer, an allowed IP or an MTU changes after it was read": (
        "peer-removed-later", "allowed-ip-removed-later", "device-mtu-later",
    ),
    "a peer's allowed IPs cover other nodes": ("allowed-ips-supernet",),
    "keys that everybody can compute": ("key-all-zero", "key-example"),
    "framing of WireGuard around what is not encrypted": ("ciphertext-periodic", "ciphertext-repeated"),
    "a watch that is blind or starved (inconclusive, never conformant)": ("tiny-ring", "agent-dies", "port-taken"),
}  # fmt: skip
BY_TEST: dict[str, str] = {
    "a narrowed, interrupted or rerun run": "tests/session/test_verdict.py",
    "a failure that somebody's hook calls a skip or a pass": "tests/session/test_broken_off.py",
    "an option without `--ciliumwg`, an empty value, an unknown variable": "tests/session/test_run.py",
    "short or hostile frames end the watch": "tests/agent/test_hostile_frames.py",
    "a control canary in front of a leak hides it": "tests/agent/test_frames.py",
    "a stranger makes canaries out of one that he reads": "tests/agent/test_canary.py",
    "cleartext that a declaration allows is not told": "tests/session/test_outcome.py",
    "flows or other pods leak while things change": "tests/session/test_changes.py",
    "the strict mode is configured, and drops nothing when it has to": "tests/session/test_changes.py",
    "a run that made changes, judged again without them": "tests/session/test_anonymous.py",
    "an earlier report stands for an action that did not begin": "tests/workflows/test_action.py",
    "moments in which a watch was blind excuse every message": "tests/verdict/test_custody_over_time.py",
    "offline, cleartext behind headers that are not read, or on WireGuard's own port": "tests/offline/test_watches.py",
}


def page(document: dict[str, Any]) -> str:
    """The page, from a self-test's results.

    Raises:
        SystemExit: a fault was not run, or a test is not there.
    """
    lines = [
        "# Ways to an unearned yes, and what catches them",
        "",
        "Made by `python -m bench.wrong_yes` from the results of a self-test: in each row the checks that failed with",
        "a fault (or, where it is one of the measurement, were inconclusive), in the versions in which it exists.",
        "",
        "| way | fault | caught by |",
        "|---|---|---|",
    ]
    lines += [row for way, faults in BY_FAULT.items() for row in _rows(document, way, faults)]
    lines += ["", "What no fault of a lab can show is proven by tests:", "", "| way | test |", "|---|---|"]
    for way, test in BY_TEST.items():
        if not (ROOT / test).exists():
            raise SystemExit(f"there is no {test}")
        lines.append(f"| {way} | `{test}` |")
    return "\n".join([*lines, ""])


def _rows(document: dict[str, Any], way: str, faults: Sequence[str]) -> Iterator[str]:
    for fault in faults:
        runs = [run for run in document["runs"] if run["fault"] == fault]
        if not runs or any(run["result"] != "caught" or run["wrong_blame"] for run in runs):
            raise SystemExit(f"the self-test did not catch {fault}, or did not run it")
        checks = dict.fromkeys(title.partition("[")[0] for run in runs for title in run["caught_by"])
        versions = " and ".join(run["version"] for run in runs)
        yield f"| {way} | `{fault}` ({versions}) | {', '.join(f'`{check}`' for check in checks)} |"


def main() -> int:
    """Write the page; returns the exit status."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    PAGE.write_text(page(document), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

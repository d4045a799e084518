"""`iptables` and `ip6tables` for the agent's container, as far as this package uses them, done with nftables.

Copied into the sandbox under both names. All else is refused, so that nothing is taken for done. Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

FAMILY = {"iptables": "ip", "ip6tables": "ip6"}[Path(sys.argv[0]).name]
TABLE = "iptables_double"
EXACTLY = ["-p", "udp", "--dport", None, "-m", "comment", "--comment", None, "-j", "DROP"]


def nft(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=False)


def refuse(text: str) -> NoReturn:
    sys.exit(f"{Path(sys.argv[0]).name}: {text}")


def handles(chain: str, comment: str) -> list[int]:
    """Our rules of a chain, which have their whole text as their comment."""
    listed = nft("--json", "--handle", "list", "chain", FAMILY, TABLE, chain)
    found: list[dict[str, Any]] = json.loads(listed.stdout)["nftables"] if listed.returncode == 0 else []
    return [item["rule"]["handle"] for item in found if item.get("rule", {}).get("comment") == comment]


def main(arguments: list[str]) -> None:
    if arguments[:1] != ["-w"] or arguments[1:2] not in (["-C"], ["-I"], ["-D"]):
        refuse(f"the double does not know {arguments}")
    action, chain, rule = arguments[1], arguments[2], arguments[3:]
    if len(rule) != len(EXACTLY) or any(want not in (None, have) for want, have in zip(EXACTLY, rule, strict=True)):
        refuse(f"the double does not know the rule {rule}")
    port, comment = rule[3], rule[7]
    found = handles(chain, comment)
    if action == "-I":
        nft("add", "table", FAMILY, TABLE)
        hook = f"{{ type filter hook {chain.lower()} priority filter; }}"
        nft("add", "chain", FAMILY, TABLE, chain, hook)
        done = nft("insert", "rule", FAMILY, TABLE, chain, "udp", "dport", port, "drop", "comment", f'"{comment}"')
        sys.exit(done.stderr or 0)
    if not found:
        refuse("Bad rule (does a matching rule exist in that chain?).")
    if action == "-D":
        nft("delete", "rule", FAMILY, TABLE, chain, "handle", str(found[0]))


main(sys.argv[1:])

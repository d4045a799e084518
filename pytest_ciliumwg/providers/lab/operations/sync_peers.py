"""Bring the other nodes up to date whenever a node changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pytest_ciliumwg.providers.lab.lab import Lab


def tell(lab: Lab, changed: Collection[str], *, before: Mapping[str, str] | None = None) -> None:
    """Bring the peers, allowed IPs and steering of all nodes up to date with the layout.

    Args:
        lab: The lab.
        changed: The nodes of which there is something new; what is known of others is not touched.
        before: Node → what else is done there, first.
    """
    scripts = {
        node.name: f"{(before or {}).get(node.name, '')}\n{lab.datapath_script(node, changed)}"
        for node in lab.layout
        if set(changed) != {node.name}
    }
    lab.run_on(scripts)
    for name in changed:
        lab.happens("told", name)

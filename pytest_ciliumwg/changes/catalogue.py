"""All changes that a run can make, in the order in which it makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_ciliumwg.changes import actions
from pytest_ciliumwg.changes.actions import Action
from pytest_ciliumwg.expect import older

Kind = Literal[
    "restart", "churn", "rekey", "outage", "node-restart", "node-gone", "node-back", "drain", "upgrade", "none"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change."""

    name: str
    kind: Kind
    """What it means for traffic; see `tolerance`."""
    does: str
    """What it will do, shown to the user before the run; `{node}` is the node that it hits."""
    source: str
    """Why it is made: where traffic leaked or was lost at such a change."""
    act: Action
    everywhere: bool = False
    """Whether it hits all nodes under test, not one."""
    operations: tuple[str, ...] = ()
    """What of `Operations` it needs."""
    providers: tuple[str, ...] = ("kind", "existing", "lab")
    fewest_nodes: int = 2
    needs: str = ""
    """The change that has to be made before it, and that it undoes."""
    undoes_itself: bool = False
    """Whether everything has to be as before once it is over."""
    compared_with: tuple[str, ...] = ()
    """The earlier changes that it undoes too: afterwards everything has to be as before the first of them that was
    made. Empty: as before this change."""
    cleartext_while: str = ""
    """Of an outage: while what there may be cleartext, unless strict mode forbids it; for the verdict."""
    meets_strict_mode: bool = False
    """Whether packets reach a native device unencrypted, where the strict mode has to drop and count them."""
    version: str = ""
    """The Cilium version that it brings; only an upgrade or downgrade brings one."""

    def left_out(self, provider: str, nodes: int | None) -> str:
        """Why it is not made with such a cluster; empty when it is."""
        if provider not in self.providers:
            return f"it needs a cluster of {' or '.join(self.providers)}"
        if nodes is not None and nodes < self.fewest_nodes:
            return f"it needs {self.fewest_nodes} nodes"
        return ""


_OURS = ("kind", "lab")

DISRUPTIONS: tuple[Change, ...] = (
    Change(
        name="agent-restart",
        kind="restart",
        does="deletes the Cilium agent pod of {node}; its DaemonSet makes a new one",
        source="recordings: 42 packets of 100 pings in cleartext with the userspace fallback (1.13); issue 31979",
        act=actions.restart_agent,
        operations=("restart_agents",),
        undoes_itself=True,
    ),
    Change(
        name="agent-restart-all",
        kind="restart",
        does="deletes the Cilium agent pods of all nodes under test at once",
        source="issue 31979: allowed IPs are built anew at every agent's start to 1.16.1",
        act=actions.restart_all_agents,
        everywhere=True,
        operations=("restart_agents",),
        undoes_itself=True,
    ),
    Change(
        name="pod-churn",
        kind="churn",
        does=f"makes {actions.CHURN_ROUNDS} pods in the run's namespace and deletes them with grace period 0",
        source="CVE-2025-32793: the last packets of a deleted pod in cleartext; issue 33159: drops as pods come and go",
        act=actions.churn_pods,
        everywhere=True,
        operations=("create_pod", "delete_pod"),
        undoes_itself=True,
    ),
    Change(
        name="key-replaced",
        kind="rekey",
        does="deletes the WireGuard private key of {node} and its Cilium agent pod; the new agent makes a new key, "
        "which stays",
        source="issue 25492: peers that never learn a new key, to 1.13.3",
        act=actions.replace_key,
        operations=("replace_key",),
        undoes_itself=True,
    ),
    Change(
        name="device-down",
        kind="outage",
        does=f"sets cilium_wg0 of {{node}} down for {actions.OUT_SECONDS:.0f} s",
        source="recordings: 75 of 100 packets in cleartext (1.13), none (1.15)",
        act=actions.device_down,
        cleartext_while="cilium_wg0 was down",
        operations=("device_down", "device_up"),
        undoes_itself=True,
    ),
    Change(
        name="port-blocked",
        kind="outage",
        does=f"drops UDP 51871 in and out of {{node}} for {actions.OUT_SECONDS:.0f} s",
        source="documentation of the strict mode: what cannot be encrypted shall not be sent",
        act=actions.block_port,
        cleartext_while="WireGuard's port was blocked",
        operations=("block_port", "unblock_port"),
        undoes_itself=True,
    ),
    Change(
        name="ipcache-lost",
        kind="outage",
        does="deletes the IPv4 ipcache entries of the other nodes' test pods on {node} for "
        f"{actions.OUT_SECONDS:.0f} s: nothing for them is encrypted there",
        source="cilium-cli's test of the strict mode; CVE-2025-32793: an entry that is missing is cleartext",
        act=actions.lose_ipcache,
        cleartext_while="the ipcache lacked entries",
        meets_strict_mode=True,
        operations=("delete_ipcache", "restore_ipcache"),
        undoes_itself=True,
    ),
    Change(
        name="node-restart",
        kind="node-restart",
        does="restarts {node}; where /run is not kept it gets a new WireGuard key",
        source="issues 25492 and 35644: after a node's restart its key or its address is missing at its peers",
        act=actions.restart_node,
        operations=("restart_node",),
        providers=_OURS,
        undoes_itself=True,
    ),
    Change(
        name="node-drained",
        kind="drain",
        does="cordons {node} and evicts its pods",
        source="issue 31921: stale objects of nodes that go",
        act=actions.drain_node,
        operations=("drain_node",),
        providers=_OURS,
        fewest_nodes=3,
    ),
    Change(
        name="node-removed",
        kind="node-gone",
        does="stops {node} and takes it out of the cluster",
        source="issue 31921: peers that stay though their node is gone",
        act=actions.remove_node,
        operations=("remove_node",),
        providers=_OURS,
        fewest_nodes=3,
    ),
    Change(
        name="node-added",
        kind="node-back",
        does="starts {node} again, which joins the cluster",
        source="issue 20925: peers that are missing after nodes were added",
        act=actions.add_node,
        operations=("remove_node", "add_node"),
        providers=_OURS,
        fewest_nodes=3,
        needs="node-removed",
        compared_with=("node-drained", "node-removed"),
        undoes_itself=True,
    ),
)
CHANGE_NAMES = tuple(change.name for change in DISRUPTIONS)


def upgrade(before: str, version: str) -> Change:
    """The change from one version of Cilium to another, which may be an older one."""
    back = older(version, before)
    return Change(
        name=f"{'downgraded' if back else 'upgraded'}-to-{version}",
        kind="upgrade",
        does=f"{'takes Cilium back' if back else 'brings Cilium'} to {version} on all nodes",
        source="recordings: 92 frames in cleartext within 9.4 s of an upgrade from 1.13 to 1.15",
        act=actions.upgrade_to(version),
        everywhere=True,
        operations=("upgrade",),
        version=version,
    )


def observation(seconds: float) -> Change:
    """Change nothing for some time; what others change meanwhile is watched."""
    return Change(
        name="observed",
        kind="none",
        does=f"changes nothing, and watches for {seconds:.0f} s",
        source="a leak of seconds is not seen by who does not look in these seconds",
        act=actions.observe_for(seconds),
        everywhere=True,
    )


def on(change: Change, node: str) -> Change:
    """A change with its text about one node."""
    return replace(change, does=change.does.format(node=node))


def by_names(names: Sequence[str]) -> tuple[Change, ...]:
    """Disruptions of these names with what they need, in their order."""
    wanted = set(names) | {change.needs for change in DISRUPTIONS if change.name in names}
    return tuple(change for change in DISRUPTIONS if change.name in wanted)

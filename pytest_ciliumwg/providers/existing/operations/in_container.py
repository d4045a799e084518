"""What is changed on a node from within its Cilium agent's container: the device, the packet filter, the key."""

from __future__ import annotations

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.observe.kubernetes import node_from_ciliumnode
from pytest_ciliumwg.providers.existing.agents_told import EXEC_SECONDS
from pytest_ciliumwg.providers.existing.operations import agents
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.self_undoing import Switch, device_switch, port_switch
from pytest_ciliumwg.providers.kubernetes.remote import run_in

KEY_FILE = "/var/run/cilium/state/cilium_wg0.key"
"""Where an agent keeps its private key: `PrivKeyFilename` of pkg/wireguard/types in the agent's state folder."""


_NOT_FOUND = 127


class NothingChangedError(ProviderError):
    """A script saw that it cannot work before it changed anything."""


def device_switch_of(context: ContainerContext) -> Switch:
    """The switch for the WireGuard device, as the present version needs it."""
    config = context.config()
    return device_switch(expectations_for(config), config.families)


def port_switch_of(context: ContainerContext) -> Switch:
    """The switch for WireGuard's UDP port."""
    config = context.config()
    return port_switch(expectations_for(config).listen_port, config.families)


def run(context: ContainerContext, node: str, script: str, doing: str) -> None:
    """Run a script, which may run twice, in a node's agent.

    Raises:
        ProviderError: it cannot be run, or failed.
    """
    done = run_in(context.kube, context.cilium.agent(node), ["sh", "-c", script], timeout=EXEC_SECONDS)
    if done.status != 0:
        error = NothingChangedError if done.status == _NOT_FOUND else ProviderError
        raise error(f"cannot {doing} on node {node} in its Cilium agent's container: {done.complaint}")


def replace_key(context: ContainerContext, node: str) -> None:
    """Take a node's key away, restart its agent, and wait until it publishes another.

    Raises:
        ProviderError: one of these does not happen.
    """
    old = published_key(context, node)
    run(context, node, f"rm -f {KEY_FILE}", "remove the key file")
    agents.restart(context, agents.agents_on(context, [node]))

    def missing() -> str:
        return "" if published_key(context, node) not in (None, old) else "its CiliumNode publishes the old one"

    context.wait(missing, f"node {node} had no new key")


def published_key(context: ContainerContext, node: str) -> str | None:
    """The public key that a node publishes.

    Raises:
        ProviderError: it has no CiliumNode that can be read.
    """
    found = context.kube.get("ciliumnodes", node)
    if found is None:
        raise ProviderError(f"there is no CiliumNode {node}")
    return node_from_ciliumnode(found).public_key

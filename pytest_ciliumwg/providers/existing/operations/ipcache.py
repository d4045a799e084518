"""A node's ipcache without its entries of other nodes' test pods, as a switch that undoes itself."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.observe.ipcache import IpcacheEntry, ipcache_from
from pytest_ciliumwg.providers.existing.agent_tool import ask_agent
from pytest_ciliumwg.providers.existing.agents_told import EXEC_SECONDS
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.self_undoing import Switch


def ipcache_switch(context: ContainerContext, node: str) -> Switch:
    """Delete every IPv4 entry by which a node encrypts for a test pod of another one; its undoing puts them back.

    Raises:
        ProviderError: the entries cannot be read, or there is none.
    """
    pods = [pod for pod in context.test_agents.test_pods() if pod.node != node]
    addresses = [ip for pod in pods for ip in pod.addresses if ip.version == 4]
    entries = leading_to(addresses, _listed(context, node))
    if not entries:
        raise ProviderError(f"the ipcache of node {node} has no entry of a test pod on another node")
    tool = expectations_for(context.config()).agent_binary
    return Switch(
        name="ipcache",
        tools=(tool, "grep"),
        change=[_delete(tool, entry) for entry in entries],
        undo=[_update(tool, entry) for entry in entries],
    )


def leading_to(addresses: Iterable[IPAddress], entries: Iterable[IpcacheEntry]) -> tuple[IpcacheEntry, ...]:
    """The entries by which one of these addresses is encrypted for, those of whole pod networks (from 1.18) too."""
    wanted = tuple(addresses)
    return tuple(entry for entry in entries if entry.key and any(ip in entry.network for ip in wanted))


def _delete(tool: str, entry: IpcacheEntry) -> str:
    """Delete an entry; one that is not there any more is no error."""
    return f"{tool} bpf ipcache delete {entry.network} || ! {tool} bpf ipcache list | grep -qwF {entry.network}"


def _update(tool: str, entry: IpcacheEntry) -> str:
    values = f"--tunnelendpoint {entry.tunnel_endpoint} --identity {entry.identity} --encryptkey {entry.key}"
    return f"{tool} bpf ipcache update {entry.network} {values}"


def _listed(context: ContainerContext, node: str) -> tuple[IpcacheEntry, ...]:
    place = context.cilium.agent(node)
    done = ask_agent(context.kube, place, "bpf", "ipcache", "list", "--output", "json", timeout=EXEC_SECONDS)
    if done.status != 0:
        raise ProviderError(f"the agent on node {node} does not tell its ipcache: {done.complaint}")
    try:
        return ipcache_from(done.output)
    except ObservationError as error:
        raise ProviderError(f"the ipcache of node {node} cannot be read: {error}") from None

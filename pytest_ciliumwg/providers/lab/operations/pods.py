"""Create, delete and renew pods."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.lab.agents import kill_script
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations.sync_peers import tell
from pytest_ciliumwg.providers.lab.spec import TEST_NAMESPACE, LabPod, free_slot, plan_pod
from pytest_ciliumwg.providers.lab.topology import no_pod_script, pod_mtu_script, pod_script

_NUMBERS = itertools.count(1)


def create_pod(lab: Lab, name: str) -> Pod:
    """Make one more pod on a node, with the lowest free address; all nodes know it before its agent starts."""
    node = lab.node(name)
    pod = plan_pod(lab.spec, node.index, f"extra-{name}-{next(_NUMBERS)}", TEST_NAMESPACE, free_slot(node))
    lab.undo_log.add(_what(pod), partial(remove_pod, lab, pod))
    raise_pod(lab, pod)
    lab.start_agents([pod.netns])
    return pod.pod


def delete_pod(lab: Lab, pod: Pod) -> None:
    """Kill a pod's agent at once, remove its network, and let all nodes forget its addresses."""
    if not lab.undo_log.undo(f"pod {pod.name}"):
        raise ProviderError(f"{pod.name} is no pod that was made here, or it is deleted already")


def raise_pod(lab: Lab, pod: LabPod) -> None:
    """Make a pod's network, and let all other nodes know its addresses."""
    node = lab.node(pod.pod.node)
    lab.sandbox.run(pod_script(lab.spec, node, pod, lab.pod_mtu(lab.running[node.name])))
    lab.replace_node(replace(node, pods=(*node.pods, pod)))
    tell(lab, {node.name})


def remove_pod(lab: Lab, pod: LabPod) -> None:
    """Remove a pod, as far as it is there: its processes first, so that nothing of it is sent after it is forgotten."""
    lab.happens("pod-dies", pod.pod.name)
    node = next((node for node in lab.layout if node.name == pod.pod.node), None)
    if node is not None:
        lab.sandbox.run(f"{kill_script([pod.netns])}\n{no_pod_script(node, pod)}")
        lab.replace_node(replace(node, pods=tuple(kept for kept in node.pods if kept.pod.name != pod.pod.name)))
        tell(lab, {node.name})
    lab.undo_log.done(_what(pod))


def renew_pods(lab: Lab) -> None:
    """Give the default routes of all pods the MTU of the present version."""
    lab.sandbox.run(
        "\n".join(
            f"nsenter --net=/run/netns/{pod.netns} sh -es <<'END'\n"
            f"{pod_mtu_script(lab.spec, node, lab.pod_mtu(lab.running[node.name]))}\nEND"
            for node in lab.layout
            for pod in node.pods
        )
    )


def _what(pod: LabPod) -> str:
    return f"pod {pod.pod.name}"

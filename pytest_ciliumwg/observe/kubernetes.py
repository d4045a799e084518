"""Objects of the Kubernetes API, as decoded JSON: CiliumNode, CiliumEndpoint, Node, Pod."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork, LeftOut, Node, Pod
from pytest_ciliumwg.observe.json_reader import Value

KEY_ANNOTATIONS = ("network.cilium.io/wg-pub-key", "io.cilium.network.wg-pub-key")
"""Where a CiliumNode publishes its public key, the newer name first; agents read both, whatever their version."""

_VIRTUAL_TYPES = frozenset({"virtual-kubelet", "kwok"})
_VIRTUAL_TAINTS = ("virtual-kubelet.io/provider", "kwok.x-k8s.io/node")

ENDED = frozenset({"Succeeded", "Failed"})
"""Phases of a pod that has none of its addresses any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What Kubernetes itself knows of a node, as far as it matters for test pods."""

    name: str
    ready: bool
    cordoned: bool
    taints: tuple[str, ...]
    """As kubectl writes them: `key=value:effect`, or `key:effect`."""
    labels: Mapping[str, str]

    @property
    def linux(self) -> bool:
        """Whether it runs Linux, as it does where it says nothing."""
        return self.labels.get("kubernetes.io/os", "linux") == "linux"

    @property
    def virtual(self) -> bool:
        """Whether no machine stands behind it: pods run elsewhere (virtual-kubelet, Liqo), or nowhere (KWOK)."""
        labelled = self.labels.get("type") in _VIRTUAL_TYPES or self.labels.get("liqo.io/type") == "virtual-node"
        return labelled or any(taint.startswith(_VIRTUAL_TAINTS) for taint in self.taints)

    def without_cilium(self, runs_pods: Callable[[], bool]) -> LeftOut:
        """Why a node without Cilium is not under test, for one that does, or does not, run pods at present.

        It is Ready, so its container runtime has a network for pods; only a cordoned one will not be given any.
        """
        if not self.linux:
            return LeftOut.OTHER_SYSTEM
        if self.virtual:
            return LeftOut.VIRTUAL
        if not self.ready:
            return LeftOut.NOT_READY
        return LeftOut.NO_PODS if self.cordoned and not runs_pods() else LeftOut.NO_CILIUM


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What Kubernetes itself knows of a pod."""

    name: str
    namespace: str
    node: str | None
    """None while it is not scheduled."""
    phase: str
    ready: bool
    host_network: bool
    addresses: tuple[IPAddress, ...]
    waiting: tuple[str, ...]
    """Why its containers do not run, such as `CrashLoopBackOff`."""
    leaving: bool = False
    """Whether it is being deleted."""


def nodes_from_ciliumnodes(objects: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
    """Read CiliumNode objects, in their order.

    Raises:
        ObservationError: there is none, or one is not understood.
    """
    nodes = tuple(node_from_ciliumnode(published) for published in objects)
    if not nodes:
        message = "has no object, so no node runs Cilium"
        raise Value(None, "the list of CiliumNodes").wrong(message)
    return nodes


def node_from_ciliumnode(raw: Mapping[str, Any]) -> Node:
    """Read one CiliumNode object.

    Raises:
        ObservationError: the object is not understood, or publishes no address of its node.
    """
    root, name = _named(raw, "CiliumNode")
    spec = root["spec"]
    internal, cilium, external = (_addresses(spec, kind) for kind in ("InternalIP", "CiliumInternalIP", "ExternalIP"))
    if not internal and not external:
        message = "publishes neither InternalIP nor ExternalIP"
        raise root.wrong(message)
    encryption, ipam = spec.get("encryption"), spec.get("ipam")
    key = encryption.get("key") if encryption is not None else None
    return Node(
        name=name,
        # As the node manager does, which takes of each family an InternalIP, else an ExternalIP.
        addresses=(*internal, *(ip for ip in external if ip.version not in {other.version for other in internal})),
        public_key=_public_key(root["metadata"]),
        pod_cidrs=tuple(_pod_cidrs(ipam)) if ipam is not None else (),
        cilium_addresses=cilium + _families(spec.get("health")) + _families(spec.get("ingress")),
        health_addresses=_families(spec.get("health")),
        ingress_addresses=_families(spec.get("ingress")),
        external_addresses=external,
        encryption_key=None if key is None else key.integer(),
    )


def _pod_cidrs(ipam: Value) -> Iterator[IPNetwork]:
    """The networks of a node's pods, those of its pools too (IPAM mode `multi-pool`)."""
    yield from (cidr.network() for cidr in ipam.each("podCIDRs"))
    pools = ipam.get("pools")
    if pools is not None:
        yield from (cidr.network() for pool in pools.each("allocated") for cidr in pool.each("cidrs"))


def _named(raw: Mapping[str, Any], kind: str) -> tuple[Value, str]:
    """The object, called by its name in messages from here on, and the name."""
    name = Value(raw, f"an object of kind {kind}")["metadata"]["name"].text()
    return Value(raw, f"the {kind} {name}"), name


def _addresses(spec: Value, kind: str) -> tuple[IPAddress, ...]:
    return tuple(address["ip"].address() for address in spec.each("addresses") if address["type"].text() == kind)


def _families(value: Value | None) -> tuple[IPAddress, ...]:
    """The members `ipv4` and `ipv6`, as far as they are there; Go may write a missing one as empty text."""
    if value is None:
        return ()
    members = (value.mapping().get(family) and value[family].address() for family in ("ipv4", "ipv6"))
    return tuple(address for address in members if address)


def _public_key(metadata: Value) -> str | None:
    annotations = metadata.get("annotations")
    if annotations is None:
        return None
    found = (annotations.get(name) for name in KEY_ANNOTATIONS)
    return next((key.text() for key in found if key is not None), None)


def pods_from_ciliumendpoints(objects: Iterable[Mapping[str, Any]], nodes: Iterable[Node]) -> tuple[Pod, ...]:
    """Read CiliumEndpoint objects, in their order; one without networking is a pod that has no address yet.

    Raises:
        ObservationError: an object is not understood, or names a node that is not among `nodes`.
    """
    names = {address: node.name for node in nodes for address in node.addresses}
    pods = (_pod(raw, names) for raw in objects)
    return tuple(pod for pod in pods if pod is not None)


def _pod(raw: Mapping[str, Any], names: Mapping[IPAddress, str]) -> Pod | None:
    root, name = _named(raw, "CiliumEndpoint")
    status = root.get("status")
    networking = status.get("networking") if status is not None else None
    if networking is None:
        return None
    node = networking["node"].address()
    if node not in names:
        message = f"is on a node {node} that no CiliumNode has as its InternalIP"
        raise root.wrong(message)
    return Pod(
        name=name,
        namespace=root["metadata"]["namespace"].text(),
        node=names[node],
        addresses=tuple(address for pair in networking.each("addressing") for address in _families(pair)),
    )


def endpoints_from_slices(objects: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The CiliumEndpoints that CiliumEndpointSlice objects stand for, which have but a part of them.

    Raises:
        ObservationError: an object is not understood.
    """
    for raw in objects:
        root, _ = _named(raw, "CiliumEndpointSlice")
        namespace = root["namespace"].text()
        for endpoint in root.each("endpoints"):
            metadata = {"name": endpoint["name"].text(), "namespace": namespace}
            yield {"metadata": metadata, "status": {"networking": endpoint.mapping().get("networking")}}


def pods_from_pods(objects: Iterable[Mapping[str, Any]], nodes: Iterable[Node]) -> tuple[Pod, ...]:
    """Those of Kubernetes' Pod objects that have addresses of their own, on these nodes, in their order.

    Raises:
        ObservationError: an object is not understood.
    """
    names = {node.name for node in nodes}
    return tuple(
        Pod(name=pod.name, namespace=pod.namespace, node=pod.node, addresses=pod.addresses)
        for pod in map(pod_facts, objects)
        if pod.node in names and pod.addresses and not pod.host_network and pod.phase not in ENDED
    )


def unmanaged(pods: Iterable[PodFacts], known: Iterable[Pod]) -> tuple[Pod, ...]:
    """The pods with addresses of their own that run, and of which no known one has the name or an address."""
    known = list(known)
    keys, addresses = {pod.key for pod in known}, {ip for pod in known for ip in pod.addresses}
    running = (pod for pod in pods if pod.node and pod.phase == "Running" and not (pod.host_network or pod.leaving))
    found = (
        Pod(name=pod.name, namespace=pod.namespace, node=str(pod.node), addresses=pod.addresses)
        for pod in running
        if pod.addresses
    )
    return tuple(pod for pod in found if pod.key not in keys and not addresses.intersection(pod.addresses))


def node_facts(raw: Mapping[str, Any]) -> NodeFacts:
    """Read one Kubernetes Node object.

    Raises:
        ObservationError: the object is not understood.
    """
    root, name = _named(raw, "Node")
    spec = root.get("spec")
    cordoned = spec.get("unschedulable") if spec is not None else None
    labels = root["metadata"].get("labels")
    return NodeFacts(
        name=name,
        ready=_ready(root["status"]),
        cordoned=cordoned is not None and cordoned.boolean(),
        taints=tuple(_taint(taint) for taint in spec.each("taints")) if spec is not None else (),
        labels={label: str(text) for label, text in labels.mapping().items()} if labels is not None else {},
    )


def _taint(taint: Value) -> str:
    value = taint.mapping().get("value")
    key = taint["key"].text()
    return f"{key}={value}:{taint['effect'].text()}" if value else f"{key}:{taint['effect'].text()}"


def _ready(status: Value) -> bool:
    return any(
        condition["type"].text() == "Ready" and condition["status"].text() == "True"
        for condition in status.each("conditions")
    )


def pod_facts(raw: Mapping[str, Any]) -> PodFacts:
    """Read one Kubernetes Pod object.

    Raises:
        ObservationError: the object is not understood.
    """
    root, name = _named(raw, "Pod")
    spec, status = root["spec"], root["status"]
    node, host_network = spec.get("nodeName"), spec.get("hostNetwork")
    return PodFacts(
        name=name,
        namespace=root["metadata"]["namespace"].text(),
        node=None if node is None else node.text(),
        phase=status["phase"].text(),
        ready=_ready(status),
        host_network=host_network is not None and host_network.boolean(),
        addresses=tuple(address["ip"].address() for address in status.each("podIPs")),
        waiting=tuple(_waiting(status)),
        leaving=root["metadata"].get("deletionTimestamp") is not None,
    )


def _waiting(status: Value) -> Iterable[str]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.each(kind):
            state = container.get("state")
            waiting = state.get("waiting") if state is not None else None
            reason = waiting.get("reason") if waiting is not None else None
            if reason is not None:
                yield reason.text()

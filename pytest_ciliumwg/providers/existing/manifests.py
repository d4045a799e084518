"""The objects that a run creates. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_ciliumwg.agent import bundle, caller_script
from pytest_ciliumwg.providers.existing.owner import this_process
from pytest_ciliumwg.providers.existing.spec import OWNER_ANNOTATION, ROLE_LABEL, ExistingSpec, RunId
from pytest_ciliumwg.providers.targets import BEHIND_HOST_PORT

Role = Literal["node-agent", "test-pod"]
ROLES: tuple[Role, ...] = ("node-agent", "test-pod")
CONTAINER = "agent"
SERVICE_ACCOUNT = "agent"
CONFIG_MAP = "agent"
POLICY = "test-traffic"
PULL_SECRET = "image-pull"  # noqa: S105 - an object's name
_FILES, _STATE = "/run/pytest-ciliumwg/agent", "/run/pytest-ciliumwg/state"
SERVE = ["python3", "-I", "-S", f"{_FILES}/agent.pyz", "serve", "--socket", f"{_STATE}/agent.sock"]
CALL = ["python3", "-I", "-S", f"{_FILES}/call.py", f"{_STATE}/agent.sock"]

_NO_MESH = {
    "sidecar.istio.io/inject": "false",
    "istio.io/dataplane-mode": "none",
    "linkerd.io/inject": "disabled",
    "kuma.io/sidecar-injection": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
}
"""A service mesh would encrypt test traffic itself, and so hide that Cilium does not."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """Makes the objects of one run."""

    run: RunId
    spec: ExistingSpec

    def namespace(self) -> dict[str, Any]:
        """The namespace that holds everything; it alone has to be deleted."""
        levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
        made = self._object("v1", "Namespace", self.run.namespace)
        made["metadata"]["labels"] |= levels
        made["metadata"]["annotations"] = {OWNER_ANNOTATION: str(this_process())}
        return made

    def service_account(self) -> dict[str, Any]:
        """An identity with no rights and no token."""
        return self._object("v1", "ServiceAccount", SERVICE_ACCOUNT) | {"automountServiceAccountToken": False}

    def agent_files(self) -> dict[str, Any]:
        """The agent and what calls it, as files."""
        files = {"agent.pyz": bundle(), "call.py": caller_script()}
        data = {name: base64.b64encode(content).decode("ascii") for name, content in files.items()}
        return self._object("v1", "ConfigMap", CONFIG_MAP) | {"binaryData": data}

    def policy(self) -> dict[str, Any]:
        """A network policy that lets everything to and from our pods pass, whatever else selects them."""
        made = self._object("networking.k8s.io/v1", "NetworkPolicy", POLICY)
        everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
        return made | {"spec": everything}

    def pull_secret(self, original: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the user's image pull secret."""
        copied = {"type": original.get("type", "Opaque"), "data": original.get("data") or {}}
        return self._object("v1", "Secret", PULL_SECRET) | copied

    def daemon_set(self, role: Role, nodes: Sequence[str]) -> dict[str, Any]:
        """One pod of a role on each of these nodes; it tolerates all taints."""
        labels = {**self.run.labels, ROLE_LABEL: role}
        made = self._object("apps/v1", "DaemonSet", role)
        made["metadata"]["labels"] = labels
        made["spec"] = {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": {**labels, **_NO_MESH}, "annotations": dict(_NO_MESH)},
                "spec": self._pod(role, nodes),
            },
        }
        return made

    def extra_pod(self, name: str, node: str) -> dict[str, Any]:
        """One more pod on a node, like a test pod, but of no DaemonSet's making."""
        made = self._object("v1", "Pod", name)
        made["metadata"]["labels"] |= {ROLE_LABEL: "extra-pod", **_NO_MESH}
        made["metadata"]["annotations"] = dict(_NO_MESH)
        made["spec"] = self._pod("test-pod", [node]) | {"restartPolicy": "Never", "containers": [self._container()]}
        return made

    def _object(self, version: str, kind: str, name: str) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": dict(self.run.labels)}}

    def _pod(self, role: Role, nodes: Sequence[str]) -> dict[str, Any]:
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes]
        pod = {
            "hostNetwork": role == "node-agent",
            "dnsPolicy": "Default",
            "enableServiceLinks": False,
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
            },
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [self._container() | self._ports(role)],
            "volumes": [
                {"name": "agent", "configMap": {"name": CONFIG_MAP}},
                {"name": "state", "emptyDir": {"sizeLimit": "16Mi"}},
            ],
        }
        if self.spec.image_pull_secret is not None:
            pod["imagePullSecrets"] = [{"name": PULL_SECRET}]
        return pod

    def _ports(self, role: Role) -> dict[str, Any]:
        """The hostPort of a test pod, for the profile extended."""
        if role != "test-pod" or not self.spec.extended:
            return {}
        port = {"containerPort": BEHIND_HOST_PORT, "hostPort": self.run.host_port}
        return {"ports": [{"name": name.lower(), "protocol": name, **port} for name in ("TCP", "UDP")]}

    def _container(self) -> dict[str, Any]:
        return {
            "name": CONTAINER,
            "image": self.spec.image,
            "imagePullPolicy": self.spec.image_pull_policy,
            "command": list(SERVE),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}},
            "securityContext": {
                # Packet and raw sockets need CAP_NET_RAW in force, which a container's other users never have.
                "runAsUser": 0,
                "runAsNonRoot": False,
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]},
            },
            "volumeMounts": [
                {"name": "agent", "mountPath": _FILES, "readOnly": True},
                {"name": "state", "mountPath": _STATE},
            ],
        }

"""A lab as a cluster: its nodes are Kubernetes nodes, and containers are processes in its namespaces."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from pytest_ciliumwg.model.cluster import IPAddress, Pod
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations import LabOperations, upgrade
from pytest_ciliumwg.providers.lab.wireguard import ON
from tests.apidouble import shapes
from tests.apidouble.agents import release
from tests.apidouble.store import Object

_ROOT = "/run/apidouble"
# The capabilities that the pod asks for, and not one more.
_CAPABILITIES = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all"]
_MARK = "APIDOUBLE_AGENT"
"""In the environment of every process of an agent's container: its pod's name."""
# What is an agent's own: its temporary files, which end with its pod, and its state on the node, which stays.
_AGENT_FILES = f"""
mine={_ROOT}/agents/$0
mkdir -p $mine/tmp $mine/cilium/state /run/cilium
[ -e $mine/key-made ] || {{ touch $mine/key-made $mine/cilium/state/cilium_wg0.key; }}
export TMPDIR=$mine/tmp
mount --bind $mine/cilium /run/cilium && exec "$@"
"""
_SET_UP = 'echo $$; while [ "$1" != -- ]; do mkdir -p "$2"; mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'


class LabBackend:
    """Runs containers in a lab's sandbox."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._started: dict[str, tuple[int, str, Pod | None]] = {}
        """Pod → process id of its container in the sandbox, its network namespace, and its own pod of the lab."""
        self._lock = threading.Lock()
        self._operations = LabOperations(lab)
        self._pulling = threading.Lock()
        self.path = f"{_ROOT}/bin:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        self._install_tools()

    def _install_tools(self) -> None:
        here, first = Path(__file__).parent, f"#!{sys.executable} -IS\n"
        for folder, names, source in (
            ("bin-1.10", ("cilium",), "agent_tools.py"),
            ("bin-1.15", ("cilium-dbg",), "agent_tools.py"),
            ("bin", ("bpftool",), "agent_tools.py"),
            ("bin", ("iptables", "ip6tables"), "filter_tool.py"),
        ):
            self.lab.sandbox.run(f"mkdir -p {_ROOT}/{folder}")
            for name in names:
                text = first + here.joinpath(source).read_text("utf-8")
                self.lab.sandbox.put(f"{_ROOT}/{folder}/{name}", text.encode())
        self.lab.sandbox.run(f"chmod 755 {_ROOT}/bin*/*")

    def _version(self, node: str) -> str:
        return self.lab.running[node].config.version

    def objects(self) -> list[tuple[str, Object]]:
        """Nodes, agents, pods and all."""
        lab = self.lab
        found: list[tuple[str, Object]] = [("namespaces", _namespace(name)) for name in ("default", "kube-system")]
        for node in lab.layout:
            found.append(("nodes", shapes.node(node.name, node.addresses, control_plane=node.index == 0)))
            image = shapes.agent_image(lab.config.version)
            found.append(("pods", shapes.agent_pod(node.name, node.addresses[0], image=image)))
            found.append(("ciliumendpoints", shapes.cilium_endpoint(node.idle_pod.pod, node.addresses[0])))
        version = lab.config.version
        found.append(("daemonsets", shapes.agent_daemon_set(version, len(lab.layout))))
        return [*found, ("secrets", release(version, {}, 1)), *self.refresh()]

    def refresh(self) -> list[tuple[str, Object]]:
        """What Cilium publishes, which faults may change."""
        lab = self.lab
        nodes = [("ciliumnodes", shapes.cilium_node(node, lab.config.version)) for node in lab.publish()]
        return [*nodes, ("configmaps", shapes.cilium_config(lab.config))]

    def start(self, pod: Object, files: Mapping[str, Mapping[str, bytes]]) -> list[str]:
        """Start the pod's process where it belongs, with its volumes as directories."""
        spec, name = pod["spec"], _name(pod)
        container = spec["containers"][0]
        mounts = []
        for mount in container["volumeMounts"]:
            directory = f"{_ROOT}/{name}/{mount['name']}"
            self.lab.sandbox.run(f"mkdir -p {directory}")
            for file, content in files.get(mount["name"], {}).items():
                self.lab.sandbox.put(f"{directory}/{file}", content)
            mounts += [directory, mount["mountPath"]]
        netns, addresses, extra = self._network(pod)
        inside = ["unshare", "--mount", "sh", "-c", _SET_UP, "sh", *mounts, "--", *_CAPABILITIES, *container["command"]]
        process = self.lab.sandbox.popen(["env", f"PATH={self.path}", *inside], netns=netns)
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.stdout.readline()  # `ready`
        threading.Thread(target=_reap, args=(process,), daemon=True).start()
        with self._lock:
            self._started[name] = (pid, netns, extra)
        return [str(ip) for ip in addresses]

    def _network(self, pod: Object) -> tuple[str, tuple[IPAddress, ...], Pod | None]:
        """A pod's network namespace and addresses: its node's, a test pod's, or new ones."""
        node = self.lab.node(pod["spec"]["nodeName"])
        if pod["spec"].get("hostNetwork"):
            return node.name, node.addresses, None
        if pod["metadata"]["labels"].get("ciliumwg/role") == "test-pod":
            return node.test_pod.netns, node.test_pod.pod.addresses, None
        with self._pulling:
            made = self._operations.create_pod(node.name)
        return self.lab.pod(made.name).netns, made.addresses, made

    def stop(self, pod: Object) -> None:
        """Kill the pod's process."""
        with self._lock:
            started = self._started.pop(_name(pod), None)
        if started is not None:
            self.lab.sandbox.run(f"kill {started[0]} 2>/dev/null || true")
            if started[2] is not None:
                with self._pulling:
                    self._operations.delete_pod(started[2])

    def stop_agent(self, pod: Object) -> None:
        """End all that runs in an agent's container, and forget its own files."""
        node, mark = pod["spec"]["nodeName"], f"{_MARK}={pod['metadata']['name']}"
        self.lab.sandbox.run(
            f"for one in /proc/[0-9]*; do if tr '\\0' '\\n' <$one/environ 2>/dev/null | grep -qx {mark}; "
            f"then kill -9 ${{one#/proc/}} 2>/dev/null || true; fi; done; rm -rf {_ROOT}/agents/{node}/tmp"
        )

    def restart_agent(self, node: str) -> None:
        """Start a node's agent anew; one that has lost its key file makes a new key."""
        state = f"{_ROOT}/agents/{node}/cilium/state"
        file = f"{state}/cilium_wg0.key"
        lost = self.lab.sandbox.run(f"[ ! -d {state} ] || [ -e {file} ] || {{ touch {file}; echo lost; }}")
        with self._pulling:
            if lost:
                self._operations.replace_key(node)
            else:
                self._operations.restart_agents([node])

    def machine(self, verb: str, node: str) -> None:
        """Stop, start or restart a node."""
        pull = {"stop": "remove_node", "start": "add_node", "restart": "restart_node"}[verb]
        with self._pulling:
            getattr(self._operations, pull)(node)

    def upgrade_node(self, node: str, version: str) -> None:
        """Let a node be as another version has it, and the whole lab with the last one."""
        with self._pulling:
            upgrade.upgrade_node(self.lab, node, version)
            if {self._version(node.name) for node in self.lab.layout} == {version}:
                upgrade.complete_upgrade(self.lab, version)

    def endpoint(self, pod: Object, addresses: list[str]) -> Object | None:
        """A pod's own endpoint; host-network pods have none."""
        if pod["spec"].get("hostNetwork"):
            return None
        node, metadata = self.lab.node(pod["spec"]["nodeName"]), pod["metadata"]
        ips = tuple(ip_address(ip) for ip in addresses)
        made = Pod(name=metadata["name"], namespace=metadata["namespace"], node=node.name, addresses=ips)
        return shapes.cilium_endpoint(made, node.addresses[0])

    def serve(self, cluster_ip: str, address: str) -> None:
        """Translate it on every node; where a rule steers, mark it too, for Cilium translates before it marks."""
        family, rule = "ip6" if ":" in cluster_ip else "ip", self.lab.expected.rule
        mark = f"add rule inet proxy marks {family} daddr {cluster_ip} meta mark set {rule.fwmark:#x};" if rule else ""
        for node in self.lab.layout:
            self.lab.sandbox.run(
                "nft 'add table inet proxy; add chain inet proxy pods { type nat hook prerouting priority dstnat; };"
                "add chain inet proxy marks { type filter hook prerouting priority mangle; };"
                f"{mark} add rule inet proxy pods {family} daddr {cluster_ip} meta l4proto {{ tcp, udp }} "
                f"dnat {family} to {address}'",
                netns=node.name,
            )

    def command(self, pod: Object, container: str, command: list[str]) -> list[str]:
        """Into the agent's container: the node with its tools; into ours: the process's own namespaces."""
        environment = ["env", "-i", f"PATH={self.path}"]
        if container == shapes.AGENT:
            node, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
            own = ["unshare", "--mount", "sh", "-c", _AGENT_FILES, node, *command]
            version = self._version(node)
            tools = "bin-1.15" if shapes.newer(version, "1.15") else "bin-1.10"
            path = f"PATH={_ROOT}/{tools}:{self.path}"
            marked = ["env", "-i", path, f"CILIUM_VERSION={version}", f"{_MARK}={name}", "sh", ON, node, *own]
            return [*self.lab.sandbox.enter(), *marked]
        pid, netns, _ = self._started[_name(pod)]
        into = ["nsenter", f"--target={pid}", "--mount", "--", *_CAPABILITIES]
        return [*self.lab.sandbox.enter(netns), *environment, *into, *command]


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}}


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.communicate()

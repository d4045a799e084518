"""A lab as a cluster: its nodes are Kubernetes nodes, and containers are processes in its namespaces."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from pytest_ciliumwg.model.cluster import IPAddress, Pod
from pytest_ciliumwg.providers.lab.drops import DROPS
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations import LabOperations, upgrade
from pytest_ciliumwg.providers.lab.spec import LabNode
from tests.apidouble import shapes
from tests.apidouble.agents import release
from tests.apidouble.containers import Containers, Job, Running
from tests.apidouble.extended import dns_objects, node_port, serve_host_ports
from tests.apidouble.newcomers import Newcomers, heal
from tests.apidouble.store import Object

_ROOT = "/run/apidouble"
_KEY = "cilium_wg0.key"
# The capabilities that the pod asks for, and not one more.
_CAPABILITIES = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all"]
_MARK = "APIDOUBLE_AGENT"
"""In the environment of every process of an agent's container: its pod's name."""
_SET_UP = 'echo $$; while [ "$1" != -- ]; do mkdir -p "$2"; mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'
_BIND = 'while [ "$1" != -- ]; do mkdir -p "$1" "$2"; mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class _Container:
    """A container of ours that runs."""

    pid: int
    """Of its process, in the sandbox."""
    netns: str
    pod: Pod | None
    """Its own pod of the lab."""
    files: Mapping[str, str]
    """Path in the container → path in the sandbox, of the files of its volumes."""


class LabBackend:
    """Runs containers in a lab's sandbox."""

    def __init__(self, lab: Lab, *, forks: bool = True, heals: bool = False) -> None:
        """Prepare the sandbox.

        Args:
            lab: The lab.
            forks: Whether one process starts all others; else each is entered with programs, which takes six times as
                long and is what a container runtime does.
            heals: Whether the nodes put right what is wrong of them as soon as a pod comes, as agents often do.
        """
        self.lab = lab
        self.known_nodes: list[Object] = []
        """The nodes that agents tell of; none for agents that do not."""
        self._started: dict[str, _Container] = {}
        """Pod → its container."""
        self._lock = threading.Lock()
        self._operations = LabOperations(lab)
        self._pulling = threading.Lock()
        self.path = f"{_ROOT}/bin:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        self._install_tools()
        self._containers = Containers(lab.sandbox)
        self._forks = forks
        self._heals = heals
        self._newcomers = Newcomers(lab)

    def _inside(self, path: str) -> Path:
        """A path of the sandbox, as we see it."""
        return self.lab.sandbox.root / path.lstrip("/")

    def _install_tools(self) -> None:
        here = Path(__file__).parent
        for folder, names, source in (
            ("bin-1.10", ("cilium",), "agent_tools.sh"),
            ("bin-1.15", ("cilium-dbg",), "agent_tools.sh"),
            ("bin", ("bpftool",), "agent_tools.sh"),
            ("bin", ("iptables", "ip6tables"), "filter_tool.sh"),
        ):
            place = self._inside(f"{_ROOT}/{folder}")
            place.mkdir(parents=True, exist_ok=True)
            for name in names:
                place.joinpath(name).write_bytes(here.joinpath(source).read_bytes())
                place.joinpath(name).chmod(0o755)
        self._inside(f"{_ROOT}/drops.sh").write_text(DROPS)
        self._inside(f"{_ROOT}/ipcache.sh").write_bytes(here.joinpath("ipcache_tool.sh").read_bytes())

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": self.path}

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
        found += dns_objects(lab)
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
        name, container = _name(pod), pod["spec"]["containers"][0]
        binds: list[tuple[str, str]] = []
        here: dict[str, str] = {}
        for mount in container["volumeMounts"]:
            directory = f"{_ROOT}/{name}/{mount['name']}"
            self._inside(directory).mkdir(parents=True, exist_ok=True)
            for file, content in files.get(mount["name"], {}).items():
                self.lab.sandbox.put(f"{directory}/{file}", content)
                if file.endswith(".pyz"):
                    self._containers.install(content)
                here[f"{mount['mountPath']}/{file}"] = f"{directory}/{file}"
            binds.append((directory, mount["mountPath"]))
        netns, addresses, extra = self._network(pod)
        serve_host_ports(self.lab, pod, netns)
        command = container["command"]
        if self._forks:
            job = Job(argv=command, env=self._environment, netns=netns, binds=tuple(binds), restricted=True)
            pid = self._containers.start(replace(job, file=_file(command, here)), self._inside(f"{_ROOT}/{name}/log"))
        else:
            pid = self._start_programs(netns, binds, command)
        with self._lock:
            self._started[name] = _Container(pid, netns, extra, here)
        return [str(ip) for ip in addresses]

    def _start_programs(self, netns: str, binds: Sequence[tuple[str, str]], command: Sequence[str]) -> int:
        mounts = [path for pair in binds for path in pair]
        inside = ["unshare", "--mount", "sh", "-c", _SET_UP, "sh", *mounts, "--", *_CAPABILITIES, *command]
        process = self.lab.sandbox.popen(["env", f"PATH={self.path}", *inside], netns=netns)
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.stdout.readline()  # `ready`
        threading.Thread(target=_reap, args=(process,), daemon=True).start()
        return pid

    def _network(self, pod: Object) -> tuple[str, tuple[IPAddress, ...], Pod | None]:
        """A pod's network namespace and addresses: its node's, a test pod's, or new ones."""
        node = self.lab.node(pod["spec"]["nodeName"])
        if pod["spec"].get("hostNetwork"):
            return node.name, node.addresses, None
        if pod["metadata"]["labels"].get("ciliumwg/role") == "test-pod":
            with self._pulling:
                self._heal_once()
                self._newcomers.come(node.test_pod.pod.addresses)
            return node.test_pod.netns, node.test_pod.pod.addresses, None
        with self._pulling:
            made = self._operations.create_pod(node.name)
        return self.lab.pod(made.name).netns, made.addresses, made

    def _heal_once(self) -> None:
        if self._heals:
            self._heals = False
            heal(self.lab)

    def stop(self, pod: Object) -> None:
        """Kill the pod's process."""
        with self._lock:
            started = self._started.pop(_name(pod), None)
        if started is None:
            return
        self._containers.end(started.pid)
        if started.pod is not None:
            with self._pulling:
                self._operations.delete_pod(started.pod)
                self._newcomers.stay_away()
        elif pod["metadata"]["labels"].get("ciliumwg/role") == "test-pod":
            with self._pulling:
                self._newcomers.go(self.lab.node(pod["spec"]["nodeName"]).test_pod.pod.addresses)

    def stop_agent(self, pod: Object) -> None:
        """End all that runs in an agent's container, and forget its own files."""
        self._containers.kill_marked(f"{_MARK}={pod['metadata']['name']}")
        shutil.rmtree(self._inside(f"{_ROOT}/agents/{pod['spec']['nodeName']}/tmp"), ignore_errors=True)

    def restart_agent(self, node: str) -> None:
        """Start a node's agent anew; one that has lost its key file makes a new key."""
        state = self._inside(f"{_ROOT}/agents/{node}/cilium/state")
        lost = state.exists() and not (state / _KEY).exists()
        if lost:
            state.joinpath(_KEY).touch()
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

    def node_port(self, node: str, port: int, protocol: str) -> int:
        """The one that the lab leads there, if it is one for the profile extended."""
        return node_port(self.lab, node, port, protocol)

    def serve(self, cluster_ip: str, address: str) -> None:
        """Translate it on every node; where a rule steers, mark it too, for Cilium translates before it marks."""
        family, rule = "ip6" if ":" in cluster_ip else "ip", self.lab.expected.rule
        mark = f"add rule inet proxy marks {family} daddr {cluster_ip} meta mark set {rule.fwmark:#x};" if rule else ""
        rules = (
            "add table inet proxy; add chain inet proxy pods { type nat hook prerouting priority dstnat; };"
            "add chain inet proxy marks { type filter hook prerouting priority mangle; };"
            f"{mark} add rule inet proxy pods {family} daddr {cluster_ip} meta l4proto {{ tcp, udp }} "
            f"dnat {family} to {address}"
        )
        self.lab.run_on({node.name: f"nft '{rules}'" for node in self.lab.layout})

    async def process(self, pod: Object, container: str, command: list[str]) -> Running:
        """Start a command in a container."""
        if not self._forks:
            return await asyncio.create_subprocess_exec(
                *self.command(pod, container, command), stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
        if container == shapes.AGENT:
            node = self.lab.node(pod["spec"]["nodeName"])
            job = Job(argv=command, env=self._of_agent(pod), netns=node.name, binds=tuple(self._mounts(node)))
            return await self._containers.run(job)
        ours = self._started[_name(pod)]
        job = Job(argv=command, env=self._environment, netns=ours.netns, beside=ours.pid, restricted=True)
        return await self._containers.run(replace(job, file=_file(command, ours.files)))

    def command(self, pod: Object, container: str, command: list[str]) -> list[str]:
        """Into the agent's container: the node with its tools; into ours: the process's own namespaces."""
        if container == shapes.AGENT:
            node = self.lab.node(pod["spec"]["nodeName"])
            mounts = [path for pair in self._mounts(node) for path in pair]
            inside = ["unshare", "--mount", "sh", "-c", _BIND, "sh", *mounts, "--", *command]
            return [*self.lab.sandbox.enter(node.name), *_with(self._of_agent(pod)), *inside]
        ours = self._started[_name(pod)]
        into = ["nsenter", f"--target={ours.pid}", "--mount", "--", *_CAPABILITIES]
        return [*self.lab.sandbox.enter(ours.netns), *_with(self._environment), *into, *command]

    def _of_agent(self, pod: Object) -> dict[str, str]:
        """The environment in an agent's container."""
        node, version = pod["spec"]["nodeName"], self._version(pod["spec"]["nodeName"])
        tools = "bin-1.15" if shapes.newer(version, "1.15") else "bin-1.10"
        return {
            "PATH": f"{_ROOT}/{tools}:{self.path}",
            "CILIUM_VERSION": version,
            "CILIUM_SETTINGS": json.dumps([f"{key}:{value}" for key, value in self._settings(node).items()]),
            "CILIUM_NODES": json.dumps(self.known_nodes) if self.known_nodes else "",
            _MARK: pod["metadata"]["name"],
            "TMPDIR": f"{_ROOT}/agents/{node}/tmp",
        }

    def _settings(self, node: str) -> dict[str, str]:
        """What a node's agent runs with: the ConfigMap, and over it each CiliumNodeConfig that selects the node."""
        objects = self.objects()
        settings = next(dict(value["data"]) for kind, value in objects if _is_config(kind, value))
        labels = next(value["metadata"]["labels"] for kind, value in objects if kind == "nodes" and _of(value, node))
        for kind, value in objects:
            if kind == "ciliumnodeconfigs":
                wanted = (value["spec"].get("nodeSelector") or {}).get("matchLabels") or {}
                settings |= value["spec"]["defaults"] if wanted.items() <= labels.items() else {}
        return settings

    def _mounts(self, node: LabNode) -> list[tuple[str, str]]:
        """What an agent has for its own: the way to its device, and its state on the node, which stays."""
        mine = f"{_ROOT}/agents/{node.name}"
        state = self._inside(f"{mine}/cilium/state")
        with self._lock:
            self._inside(f"{mine}/tmp").mkdir(parents=True, exist_ok=True)
            if not state.exists():
                state.mkdir(parents=True)
                state.joinpath(_KEY).touch()
        device = [] if self.lab.kernel_wireguard else [(f"{node.directory}/wireguard", "/run/wireguard")]
        return [*device, (f"{mine}/cilium", "/run/cilium")]


def _file(command: Sequence[str], files: Mapping[str, str]) -> str:
    """Where in the sandbox the file is that a command runs; empty where it is none of ours."""
    return next((files[word] for word in command if word in files), "")


def _is_config(kind: str, value: Object) -> bool:
    return kind == "configmaps" and value["metadata"]["name"] == "cilium-config"


def _of(value: Object, name: str) -> bool:
    return bool(value["metadata"]["name"] == name)


def _with(environment: Mapping[str, str]) -> list[str]:
    return ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}}


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.communicate()

"""Talk to agents: typed requests, checked replies."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.ring import RETIRE_MS
from pytest_ciliumwg.agent.jobs import NO_JOB, VERSION
from pytest_ciliumwg.agent_client.accounts import SentAccount, ServedAccount, sent_accounts, served_accounts
from pytest_ciliumwg.agent_client.wanted import Wanted
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.model.cluster import IPFamily, IPNetwork, Node
from pytest_ciliumwg.model.traffic import Flow, Protocol
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.providers.base import AgentTransport

Reply = dict[str, Any]

CALL_SECONDS = 30.0
CONNECTION_SECONDS = 5.0
"""How long a TCP connection may take, from its first packet to its last."""
RING = {"block_size": 1 << 17, "blocks": 128}
"""Each native device's ring, 16 MiB: blocks that hold any usual frame (what they cannot is counted as cut), and so
many that a watch may be kept off the processor for 12 s before it loses a frame."""
_CROWDED, _LONGEST_RETIRE = 4, 10
"""With more than so many nodes for each processor a ring lasts longer, up to so many times."""


class JobGoneError(AgentError):
    """The agent does not know the job: it was restarted since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The control canaries that a continuous watch sends on its own."""

    node: int
    """The sender's place among the nodes."""
    first: int
    """The number of the first one."""
    period: float
    """Seconds between two of them."""
    targets: Sequence[str]
    """The other nodes' addresses, to which they go beside the broadcast on each device."""
    ways: Sequence[str]
    """How they go there."""


_CONTROLS = {IPFamily.V4: "192.0.2.1", IPFamily.V6: "2001:db8::1"}
"""Documentation addresses."""


class Run:
    """What ties the requests of one watch together: its canaries' secret, its jobs' ids, and what is known of others.

    Without pods' networks, packets between other pods are not watched; without machines (the Ethernet addresses of all
    nodes) no frame is taken for one of another cluster with the same addresses.

    `crowding` is how many nodes share a processor: the more, the longer a watch may be kept off it, and the longer its
    rings last. What is seen is then heard of later.
    """

    def __init__(
        self, pod_networks: Sequence[IPNetwork] = (), machines: Collection[str] = (), crowding: float = 1.0
    ) -> None:
        self.retire_ms = round(RETIRE_MS * min(_LONGEST_RETIRE, max(1.0, crowding / _CROWDED)))
        self.pod_networks = tuple(pod_networks)
        self.machines = sorted(machines)
        self.secret = secrets.token_hex(canary.SECRET_SIZE)
        self.job = secrets.token_hex(canary.PREFIX_SIZE)
        self._canaries = canary.Canaries.of(bytes.fromhex(self.secret))

    @property
    def pod_controls(self) -> list[str]:
        """The addresses of control packets of the watch on pods: of no pod, for strict mode drops what pods' have."""
        return [_CONTROLS[family] for family in dict.fromkeys(map(IPFamily.of, self.pod_networks))]

    def token(self, flow: Flow, mark: int) -> str:
        """The flow's canary, in hex."""
        return self._canaries.make(flow.id, mark, public=not flow.promised or flow.path == "north-south").hex()


class Agent:
    """One agent, reached over its transport."""

    def __init__(self, transport: AgentTransport) -> None:
        self._transport = transport
        self.name = transport.name

    def ask(self, op: str, *, takes: float = 0.0, **fields: Any) -> Reply:
        """Send one request; `takes` is how many seconds the request itself lasts at the agent.

        Raises:
            AgentError: no answer, an answer that is none, or the agent refuses.
        """
        request = json.dumps({"op": op, **fields}, separators=(",", ":")).encode() + b"\n"
        raw = self._transport.exchange(request, timeout=CALL_SECONDS + takes)
        try:
            reply: Reply = json.loads(raw)
            accepted = reply["ok"]
        except (ValueError, KeyError, TypeError) as error:
            raise AgentError(f"the agent {self.name} answered {op!r} with something that is no reply") from error
        if not accepted:
            why = str(reply.get("error", "no"))
            gone = reply.get("code") == NO_JOB
            raise (JobGoneError if gone else AgentError)(f"the agent {self.name} says: {why}")
        return reply

    def check_version(self) -> None:
        """Refuse an agent of another release.

        Raises:
            AgentError: it speaks another version, or does not answer.
        """
        version = self.ask("hello").get("version")
        if version != VERSION:
            raise AgentError(
                f"the agent {self.name} speaks version {version}, this package {VERSION}: remove the old one"
            )

    def route_mtus(self, destinations: Iterable[str]) -> dict[str, int]:
        """The MTU of the route to each destination, as the pod's kernel has it."""
        reply = self.ask("mtu", destinations=list(destinations))
        return {address: int(mtu) for address, mtu in reply["mtus"].items()}

    def start_watch(self, run: Run, node: Node, devices: Sequence[str], wanted: Wanted, wireguard_port: int) -> None:
        """Begin to watch a node; a repeated call changes nothing."""
        self.ask("watch-start", **_watch(run, node, devices, wanted, wireguard_port))

    def start_continuous_watch(
        self, run: Run, node: Node, devices: Sequence[str], wanted: Wanted, wireguard_port: int, heartbeat: Heartbeat
    ) -> None:
        """Begin to watch until it is stopped, with control canaries all the time; a repeated call changes nothing."""
        self.ask("watch-start", **_watch(run, node, devices, wanted, wireguard_port), heartbeat=asdict(heartbeat))

    def send_heartbeat_by(self, run: Run, ways: Sequence[str]) -> None:
        """Let the control canaries of a continuous watch go to the other nodes by these ways from now on."""
        self.ask("watch-heartbeat", job=run.job, ways=list(ways))

    def collect_watch(self, run: Run, acknowledged: int) -> Reply:
        """Fetch what a continuous watch has logged; the agent drops entries that are acknowledged."""
        return self.ask("watch-collect", job=run.job, acknowledged=acknowledged)

    def stop_continuous_watch(self, run: Run, acknowledged: int) -> Reply:
        """End a continuous watch and fetch the rest of its log."""
        return self.ask("watch-stop", job=run.job, acknowledged=acknowledged)

    def start_stream(
        self, run: Run, part: str, flows: Iterable[Flow], interval: Callable[[Flow], float], patience: float
    ) -> None:
        """Begin to send continuous flows, each at its interval in seconds; a repeated call changes nothing."""
        rows = [_sent(run, flow) | {"interval": interval(flow), "fresh": flow.fresh} for flow in flows]
        self.ask("stream-start", job=f"{run.job}-{part}", flows=rows, patience=patience)

    def collect_stream(self, run: Run, part: str, acknowledged: int) -> Reply:
        """Fetch the account of continuous flows; the agent drops what is acknowledged."""
        return self.ask("stream-collect", job=f"{run.job}-{part}", acknowledged=acknowledged)

    def stop_stream(self, run: Run, part: str, acknowledged: int) -> Reply:
        """End continuous flows and fetch the rest of their account."""
        return self.ask("stream-stop", takes=2.0, job=f"{run.job}-{part}", acknowledged=acknowledged)

    def start_headers(self, job: str, devices: Sequence[str], seconds: float) -> None:
        """Begin to capture the headers of all frames of devices; a repeated call changes nothing."""
        self.ask("headers-start", job=job, devices=list(devices), seconds=seconds, ring=RING)

    def await_headers(self, job: str, wait: float) -> tuple[dict[str, int], list[str]] | None:
        """Device → the size of its capture, and what should be known of it; None while it goes on after `wait`."""
        reply = self.ask("headers-await", takes=wait, job=job, wait=wait)
        return (reply["sizes"], [str(problem) for problem in reply["problems"]]) if reply["done"] else None

    def read_headers(self, job: str, device: str, offset: int) -> bytes:
        """Some of a device's capture, from an offset on."""
        return base64.b64decode(self.ask("headers-read", job=job, device=device, offset=offset)["part"])

    def controls_seen(self, run: Run) -> frozenset[int]:
        """Numbers of the control canaries that arrived from other nodes so far."""
        return frozenset(self.ask("watch-peek", job=run.job)["controls"])

    def stop_watch(self, run: Run) -> Reply:
        """End the watch and fetch what it saw."""
        return self.ask("watch-stop", job=run.job)

    def send_control(
        self, run: Run, number: int, devices: Sequence[str], targets: Sequence[str], ways: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Send a control canary from a node, inside the tunnel too.

        Returns what went wrong on devices, and on the ways to targets, a sentence each.
        """
        reply = self.ask(
            "control",
            secret=run.secret,
            number=number,
            devices=list(devices),
            targets=list(targets),
            ways=list(ways),
            inside=DEVICE,
            pod_controls=run.pod_controls,
        )
        return [str(problem) for problem in reply["problems"]], [str(problem) for problem in reply["unreached"]]

    def serve(self, run: Run, flows: Iterable[Flow], part: str = "serve") -> dict[int, str]:
        """Listen for flows; returns flow id → why it cannot be served. `part` tells several servings apart."""
        rows = [
            {
                "id": flow.id,
                "protocol": flow.protocol.value,
                "destination": str(flow.served_at or flow.destination),
                "port": flow.served_port or flow.port,
                "reply": run.token(flow, canary.REPLY),
            }
            for flow in flows
            if flow.protocol is not Protocol.ICMP and not flow.dns_domain
        ]
        return {
            int(flow): str(why)
            for flow, why in self.ask("serve", job=f"{run.job}-{part}", flows=rows)["errors"].items()
        }

    def stop_serving(self, run: Run, part: str = "serve") -> list[ServedAccount]:
        """Close the listeners and fetch what they counted, with the seconds for which they were not run."""
        return served_accounts(self.ask("serve-stop", job=f"{run.job}-{part}"))

    def send(
        self, run: Run, part: str, flows: Iterable[Flow], *, interval: float, timeout: float, patience: float = 1.0
    ) -> None:
        """Begin to send flows; `part` tells several sendings of one run apart.

        Args:
            run: The run.
            part: The name of this sending.
            flows: The flows.
            interval: Seconds between two messages of a flow.
            timeout: Seconds for all flows.
            patience: How many times longer than usual an answer may take before its message is sent again.
        """
        rows = [
            _sent(run, flow)
            | {
                "count": flow.count,
                "interval": interval,
                "dont_fragment": flow.dont_fragment,
                "until_reply": flow.purpose == "first",
                **({"rounds": 0} if flow.dropped_by_design else {}),
                "timeout": CONNECTION_SECONDS * patience,
                "patience": patience,
            }
            for flow in flows
        ]
        self.ask("send", job=f"{run.job}-{part}", flows=rows, timeout=timeout)

    def collect(self, run: Run, part: str, *, wait: float) -> list[SentAccount] | None:
        """The accounts of a sending, with the seconds for which it was not run, and those that answers typically took.

        None while it goes on after `wait`.
        """
        reply = self.ask("collect", takes=wait, wait=wait, job=f"{run.job}-{part}")
        return sent_accounts(reply) if reply["done"] else None


def _sent(run: Run, flow: Flow) -> dict[str, Any]:
    """What a sender needs to know of any flow."""
    return {
        "id": flow.id,
        "protocol": flow.protocol.value,
        "source": str(flow.source),
        "destination": str(flow.destination),
        "port": flow.port,
        "token": run.token(flow, canary.REQUEST),
        "payload_size": flow.payload_size,
        "dns_domain": flow.dns_domain,
    }


def _watch(run: Run, node: Node, devices: Sequence[str], wanted: Wanted, wireguard_port: int) -> dict[str, Any]:
    """The fields that begin a watch."""
    return {
        "job": run.job,
        "secret": run.secret,
        "devices": list(devices),
        "flows": wanted.rows(node.name),
        "exclusive": wanted.exclusive,
        "own": wanted.own(node.name),
        "ring": RING,
        "retire_ms": run.retire_ms,
        "inside": {"device": DEVICE, "headers": wanted.headers},
        "wireguard_port": wireguard_port,
        "pods": [str(network) for network in run.pod_networks],
        "machines": run.machines,
        "pod_controls": run.pod_controls,
    }

"""A change in a node's own network that undoes itself: the script for it, which a Cilium agent's container runs.

The dead man's switch is a process in that container, started before the change: it undoes the change after some
seconds, also when this run or the API server is gone by then. It ends with the container: then the agent's own start
undoes a change of the device, and the next call of the undo script one of the packet filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPFamily, sorted_families

DEAD_MAN = 60
"""Seconds after which a change undoes itself."""
_COMMENT = "ciliumwg blocks WireGuard for a test"
_CHAINS = ("INPUT", "OUTPUT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A change and what undoes it, as shell commands that may run twice."""

    name: str
    """Names the file that tells the process id of the dead man's switch."""
    tools: tuple[str, ...]
    """The programs that the commands need."""
    change: Sequence[str]
    undo: Sequence[str]

    def pull(self, seconds: float) -> str:
        """The script that makes the change, and undoes it by itself after some seconds."""
        # The process says itself who it is: only then does the change happen, which it lets come to its end. A shell
        # that gets a signal ends at once with its whole session, so no `sleep` outlives it.
        return f"""{self._common()}
echo $$ >"$busy" || exit 1
trap 'rm -f "$busy"' EXIT
disarm
setsid sh -c '
    echo $$ >"$1.new" && mv "$1.new" "$1" || exit 1
    sleep {seconds:g}
    tries=0
    while [ -e "$1.busy" ] && [ $tries -le 200 ]; do tries=$((tries + 1)); sleep 0.05; done
    {_quoted(self.undo)}
    rm -f "$1"
' {self._mark} "$file" </dev/null >/dev/null 2>&1 &
tries=0
until [ -s "$file" ]; do
    tries=$((tries + 1))
    [ $tries -le 200 ] || {{ echo "the switch that undoes it does not start" >&2; exit 1; }}
    sleep 0.05
done
{_all(self.change)}
"""

    def release(self) -> str:
        """The script that undoes the change, and ends the switch.

        A script goes on in its container after its exec was interrupted. So this waits for it to end: otherwise it
        could make the change after it was undone, with no switch left to undo it again.
        """
        return f"""{self._common()}
tries=0
while [ $tries -le 200 ] && ours "$busy"; do
    tries=$((tries + 1))
    sleep 0.05
done
{_all(self.undo)}
disarm
"""

    @property
    def _mark(self) -> str:
        return f"ciliumwg-{self.name}"

    def _common(self) -> str:
        needed = "\n".join(
            f'command -v {tool} >/dev/null 2>&1 || {{ echo "it has no {tool}" >&2; exit 127; }}'
            for tool in (*self.tools, "setsid")
        )
        # A process id may be another process's by now: only one with our mark counts.
        return f"""{needed}
file="${{TMPDIR:-/tmp}}/{self._mark}.pid"
busy="$file.busy"
ours() {{
    read -r pid <"$1" && tr '\\0' ' ' <"/proc/$pid/cmdline" | grep -q " {self._mark} "
}} 2>/dev/null
disarm() {{
    if ours "$file"; then
        kill -s KILL -- "-$pid" 2>/dev/null
    fi
    rm -f "$file"
}}"""


def device_switch(expected: Expectations, families: Iterable[IPFamily]) -> Switch:
    """Set the WireGuard device down; up again with the routes through it, which go with a device that is down."""
    device, rule = expected.device_name, expected.rule
    undo = [f"ip link set {device} up"]
    if rule is not None:
        # As the agent does at its start; from 1.14 on there is no such table.
        undo += [
            f"ip {_flag(family)} route replace default dev {device} table {rule.table}"
            for family in sorted_families(families)
        ]
    return Switch(name="device", tools=("ip",), change=[f"ip link set {device} down"], undo=undo)


def port_switch(port: int, families: Iterable[IPFamily]) -> Switch:
    """Drop WireGuard's packets in and out; with a comment, as Cilium's own rules have, that finds exactly ours."""
    rule = f'-p udp --dport {port} -m comment --comment "{_COMMENT}" -j DROP'
    programs = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}
    tools = tuple(programs[family] for family in sorted_families(families))
    places = [(tool, chain) for tool in tools for chain in _CHAINS]
    return Switch(
        name="port",
        tools=tools,
        change=[f"{tool} -w -C {chain} {rule} 2>/dev/null || {tool} -w -I {chain} {rule}" for tool, chain in places],
        undo=[f"while {tool} -w -D {chain} {rule} 2>/dev/null; do :; done" for tool, chain in places],
    )


def _all(commands: Iterable[str]) -> str:
    return "\n".join(f"{{ {command}; }} || exit 1" for command in commands)


def _quoted(commands: Iterable[str]) -> str:
    """Join commands for a script in single quotes; the commands must not contain any."""
    return "\n    ".join(commands)


def _flag(family: IPFamily) -> str:
    return "-4" if family is IPFamily.V4 else "-6"

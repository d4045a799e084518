"""Start small programs on a node; they end with the lab."""

from __future__ import annotations

import shlex
import sys

from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

# Every program says that it is ready by making the file that is its first argument.
_START = """
cat >{script} <<'END-OF-PROGRAM'
{source}END-OF-PROGRAM
{python} -I -S {script} {ready} {arguments} </dev/null >{script}.log 2>&1 &
tries=0
until [ -e {ready} ]; do
    tries=$((tries + 1))
    if [ $tries -gt 1000 ]; then echo "{name} did not start: $(tail -n 1 {script}.log)" >&2; exit 1; fi
    sleep 0.005
done
"""


def start(lab: Lab, node: LabNode, name: str, source: str, *arguments: object, netns: str | None = None) -> None:
    """Start a Python program in a node's network namespace, and wait until it says that it is ready.

    Args:
        lab: The lab.
        node: Where.
        name: The program's name, for its files and messages.
        source: Its text, standard library only; it makes the file `sys.argv[1]` when it is ready.
        arguments: What it gets from `sys.argv[2]` on.
        netns: Another network namespace than the node's, such as that of one of its pods.

    Raises:
        ProviderError: it did not start.
    """
    script = start_script(node, name, source, *arguments)
    if netns is None:
        lab.run_in(node, script)
    else:
        lab.sandbox.run(script, netns=netns)


def start_script(node: LabNode, name: str, source: str, *arguments: object) -> str:
    """The shell text of `start`."""
    script = f"{node.directory}/{name}.py"
    return _START.format(
        script=script,
        source=source,
        python=shlex.quote(sys.executable or "python3"),
        ready=f"{script}.ready",
        arguments=" ".join(shlex.quote(str(argument)) for argument in arguments),
        name=name,
    )

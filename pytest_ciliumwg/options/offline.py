"""The options of the record of a cluster."""

from __future__ import annotations

from pytest_ciliumwg.options import values
from pytest_ciliumwg.options.option import Option

OFFLINE = (
    Option(
        "ciliumwg-input",
        "Repeatable: a cilium sysdump, an archive of cilium-bugtool, what `pytest-ciliumwg collect` wrote, a capture",
        values.inputs,
        "",
        "PATH",
        repeatable=True,
        providers=("offline",),
    ),
    Option(
        "ciliumwg-anonymise",
        "Put other names and addresses in place of those of nodes, pods and namespaces, the same for the same, in all "
        "that is said and written",
        values.switch,
        "no",
        flag=True,
        providers=("offline",),
    ),
)

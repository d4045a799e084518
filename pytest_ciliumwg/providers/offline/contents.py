"""What of an input is what: the API's objects, the outputs of commands of each node, captures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.observe.agent_history import wireguard_lines
from pytest_ciliumwg.providers.offline.archive import MOST_TEXT, File, Input, is_archive
from pytest_ciliumwg.providers.offline.captures.files import CAPTURE_NAME
from pytest_ciliumwg.providers.offline.slimming import slimmed

_STAMP = r"(?:-(?P<stamp>\d{8}-\d{6}))?"
_OBJECTS = {
    "ciliumnodes": "ciliumnodes",
    "ciliumendpoints": "ciliumendpoints",
    "ciliumendpointslices": "ciliumendpointslices",
    "k8s-nodes": "nodes",
    "nodes": "nodes",
    "k8s-pods": "pods",
    "pods": "pods",
    "cilium-configmap": "config",
    "cilium-config": "config",
}
"""How a file of objects begins → what is in it."""
_OBJECT_FILE = re.compile(rf"(?P<what>{'|'.join(_OBJECTS)}){_STAMP}\.(?:yaml|json)")
_TOOL = r"cilium(?:-dbg)?"
_COMMANDS = {
    re.compile(pattern): command
    for pattern, command in (
        (r"hostname\.md", "hostname"),
        (r"ip-a\.md", "ip a"),
        (r"ip--d--s--s-l\.md|ip--d--s-l\.md", "ip -d -s -s l"),
        (r"ip(?:--4)?(?:--d)?-rule\.md", "ip -d rule"),
        (r"ip--6(?:--d)?-rule\.md", "ip -6 -d rule"),
        (r"ip--4-r\.md", "ip -4 r"),
        (r"ip--6-r\.md", "ip -6 r"),
        (r"ip--(?P<a>[46])-route-show-\.md", "ip -{a} route show"),
        (r"ip--(?P<a>[46])-route-show-table-(?P<b>\d+)\.md", "ip -{a} route show table {b}"),
        (r"bpftool-net-show\.md", "bpftool net show"),
        (r"tc-filter-show-dev-(?P<a>.+)-egress\.md", "tc filter show dev {a} egress"),
        (r"cilium-debuginfo-.*\.json", "debuginfo"),
        (rf"{_TOOL}-node-list--o-json\.md", "node list -o json"),
        (rf"{_TOOL}-version\.md", "version"),
        (r"wg-show-cilium_wg0-fwmark\.md", "wg show cilium_wg0 fwmark"),
        (r"sysctl--a\.md", "sysctl -a"),
    )
}
"""Files of a cilium-bugtool archive → the command that they hold the output of."""
_BUGTOOL = re.compile(r"(?:(?P<place>.*?)/)?cmd/(?P<file>[^/]+)")
_OBSERVED = re.compile(r"(?:.*/)?nodes/(?P<node>[^/]+)/(?P<what>observed|version)\.txt")
OBSERVED = "observed"
"""What `pytest-ciliumwg collect` keeps of a node: the output of the script that looks at it."""
_LOG = re.compile(r"(?:.*/)?logs-(?P<pod>[^/]+?)-cilium-agent(?:-prev(?:ious)?)?-\d{8}-\d{6}\.log")
_DEBUGINFO_AT = re.compile(r"cilium-debuginfo-(?P<at>\d{8}-\d{6})\.\d+\+0000-UTC\.json")
LOOKED_AT = "looked at"
"""Among a node's outputs: when it was looked at, seconds since the epoch, where a file's name tells it in UTC."""
_NAMES = "captures.yaml"
_KEPT_OF_DEBUGINFO = ("cilium-version", "encryption", "environment-variables", "cilium-status")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Contents:
    """All that was read of an input."""

    objects: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """`ciliumnodes`, `ciliumendpoints`, … → the objects; what was not there is missing."""
    config: Mapping[str, str] | None = None
    """The data of the ConfigMap."""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Where it was read, a folder's name or a node's → command → its output."""
    names: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Of `captures.yaml`: file → its node and device."""
    logs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Agent's pod → what its logs say of WireGuard as a warning or worse."""
    stamps: list[str] = field(default_factory=list)
    """When it was collected, as the files' names tell."""
    problems: list[str] = field(default_factory=list)
    anything: bool = False


def read_contents(paths: Iterable[Path], take_capture: Callable[[File, list[str]], None]) -> Contents:
    """Read inputs one after the other; a capture is handed over as it comes by, because its stream does not last."""
    contents = Contents()
    for path in paths:
        opened = Input(path)
        for file in opened.files(_wanted):
            _take(contents, file, take_capture)
        if not (path.is_dir() or is_archive(path.name) or _wanted(path.name)):
            contents.problems.append(
                f"{path.name} is neither a sysdump nor an archive of cilium-bugtool (zip, tar, tar.gz) nor a "
                "capture, and was left out"
            )
        contents.problems += opened.problems
    return contents


def _wanted(name: str) -> bool:
    base = name.rpartition("/")[2]
    if bugtool := _BUGTOOL.fullmatch(name):
        return _command(bugtool["file"]) is not None
    if "/cmd/" in f"/{name}":
        return False  # what an agent keeps for itself
    known = _OBJECT_FILE.fullmatch(base) or _OBSERVED.fullmatch(name) or CAPTURE_NAME.fullmatch(base)
    known = known or _LOG.fullmatch(name)
    return known is not None or base == _NAMES


def _command(file: str) -> str | None:
    for pattern, command in _COMMANDS.items():
        if found := pattern.fullmatch(file):
            return command.format(**found.groupdict())
    return None


def _take(contents: Contents, file: File, take_capture: Callable[[File, list[str]], None]) -> None:
    contents.anything = True
    if CAPTURE_NAME.fullmatch(file.base):
        take_capture(file, contents.problems)
    elif bugtool := _BUGTOOL.fullmatch(file.name):
        command = _command(bugtool["file"])
        if command is not None:
            outputs = contents.outputs.setdefault((bugtool["place"] or "").rpartition("/")[2], {})
            text = file.text()
            outputs[command] = kept_of_debuginfo(text) if command == "debuginfo" else text
            if told := _DEBUGINFO_AT.fullmatch(bugtool["file"]):
                outputs[LOOKED_AT] = str(moment(told["at"]))
    elif observed := _OBSERVED.fullmatch(file.name):
        contents.outputs.setdefault(observed["node"], {})[observed["what"]] = file.text()
    elif log := _LOG.fullmatch(file.name):
        lines = wireguard_lines(file.stream.read(MOST_TEXT))
        contents.logs[log["pod"]] = (*contents.logs.get(log["pod"], ()), *lines)
    else:
        _take_objects(contents, file)


def moment(stamp: str) -> float:
    """The time that a file's name tells, taken for UTC."""
    return datetime.strptime(stamp, "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()


def kept_of_debuginfo(text: str) -> str:
    """Of the agent's `debuginfo`, which may be large, what is read of it."""
    try:
        document = json.loads(text)
        return json.dumps({name: document[name] for name in _KEPT_OF_DEBUGINFO if name in document})
    except (ValueError, TypeError, RecursionError):
        return text  # whoever reads it says what is wrong with it


def _take_objects(contents: Contents, file: File) -> None:
    document = _document(file, contents.problems)
    if document is None:
        return
    if file.base == _NAMES:
        contents.names.update({str(name): of for name, of in document.items() if isinstance(of, Mapping)})
        return
    found = _OBJECT_FILE.fullmatch(file.base)
    if found is None:
        return
    if found["stamp"]:
        contents.stamps.append(found["stamp"])
    what = _OBJECTS[found["what"]]
    if what == "config":
        read: Any = document.get("data") or {}
    elif isinstance(document.get("items"), list):
        read = [item for item in document["items"] if isinstance(item, Mapping)]
    else:
        contents.problems.append(f"{file.name} holds no list of objects, and was left out")
        return
    _keep(contents, what, file.name, read)


def _keep(contents: Contents, what: str, name: str, read: Any) -> None:
    """Keep objects of a kind; of two files with them the first counts, so that no two times or clusters are mixed."""
    known = contents.config if what == "config" else contents.objects.get(what)
    if known is not None:
        if known != read:
            contents.problems.append(
                f"{name} is of another time or cluster than another file with the same objects, and was left out"
            )
    elif what == "config":
        contents.config = read
    else:
        contents.objects[what] = read


def _yaml(name: str, text: str) -> Any:
    of_objects = _OBJECT_FILE.fullmatch(name)
    if of_objects and _OBJECTS[of_objects["what"]] != "config":
        text = slimmed(text, pods="pods" in name)
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe one


def _document(file: File, problems: list[str]) -> Mapping[str, Any] | None:
    """A file of YAML or JSON; one that is empty, as of a kind that the cluster does not have, is none."""
    text = file.text()
    if not text.strip():
        return None
    try:
        document = json.loads(text) if file.base.endswith(".json") else _yaml(file.base, text)
    except (ValueError, yaml.YAMLError, RecursionError):
        problems.append(f"{file.name} is cut off or damaged, and was left out")
        return None
    if not isinstance(document, Mapping):
        problems.append(f"{file.name} holds no object, and was left out")
        return None
    return document

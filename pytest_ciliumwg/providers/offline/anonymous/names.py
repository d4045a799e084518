"""Other names in place of real ones, by their kind and in their order: `node-1`, `namespace-2/pod-07`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_address, ip_network

from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses

_EVERYWHERE = frozenset({"default", "kube-system", "kube-public", "kube-node-lease", ""})
"""Namespaces that every cluster has."""
_KUBERNETES = re.compile(r"(?:[a-z0-9-]+\.)*(?:kubernetes|k8s)\.io/.+")
"""Labels that Kubernetes defines."""
_SAID_BY_KUBERNETES = frozenset({"", "true", "false", "linux", "windows"})
_NEVER_SAID = ("label", "value")
_HOST = "host"
"""In place of a namespace: the network of the node itself."""
_MAC = r"(?<![0-9A-Fa-f:])[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f:])"
_IPV4, _IPV6 = r"\d{1,3}(?:\.\d{1,3}){3}", r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"
_IP = rf"(?<![0-9A-Za-z.:])(?:{_IPV4}|{_IPV6})(?:/\d{{1,3}})?(?![0-9A-Za-z:])"
_ADDRESS = re.compile(f"(?P<mac>{_MAC})|{_IP}")


class Names:
    """Replaces the names of one cluster, and the addresses in what is said of it.

    Args:
        addresses: What replaces addresses.
        nodes: All names of nodes.
        pods: Namespaces and names of pods.
        others: Kind → names of it, such as files, which are replaced in sentences alone.
    """

    def __init__(
        self,
        addresses: Addresses,
        nodes: Iterable[str],
        pods: Iterable[tuple[str, str]],
        others: Mapping[str, Sequence[str]],
    ) -> None:
        self._addresses = addresses
        self._pods_of: dict[str, dict[str, str]] = {}
        pods = sorted(set(pods))
        self._known = {
            "node": _numbered("node", sorted(set(nodes))),
            "namespace": _numbered("namespace", sorted({namespace for namespace, _ in pods} - _EVERYWHERE)),
            "pod": _numbered("pod", list(dict.fromkeys(name for _, name in pods))),
            **{kind: _numbered(kind, list(dict.fromkeys(names))) for kind, names in others.items()},
        }

    def node(self, name: str) -> str:
        """A node's, or `cluster/node`."""
        cluster, slash, node = name.rpartition("/")
        return f"{self._of('cluster', cluster) if cluster else ''}{slash}{self._of('node', node)}"

    def namespace(self, name: str) -> str:
        """A namespace's; those that every cluster has stay."""
        return name if name in _EVERYWHERE else self._of("namespace", name)

    def pod(self, name: str) -> str:
        """A pod's own."""
        return self._of("pod", name)

    def pod_key(self, key: str) -> str:
        """`namespace/name`, or `host/NODE`."""
        namespace, slash, name = key.partition("/")
        if namespace == _HOST:
            return f"{_HOST}/{self.node(name)}"
        return f"{self.namespace(namespace)}/{self.pod(name)}" if slash else self.text(key)

    def domain(self, name: str) -> str:
        """A DNS domain."""
        return self._of("domain", name) if name else ""

    def label(self, name: str) -> str:
        """The key of a label; those of Kubernetes stay."""
        return name if _KUBERNETES.fullmatch(name) else self._of("label", name)

    def label_value(self, value: str) -> str:
        """The value of a label."""
        if value in _SAID_BY_KUBERNETES:
            return value
        return self._known["node"].get(value) or self._of("value", value)

    def label_term(self, term: str) -> str:
        """`LABEL` or `LABEL=VALUE`."""
        name, equals, value = term.partition("=")
        return f"{self.label(name)}{equals}{self.label_value(value)}"

    def mac(self, address: str) -> str:
        """An Ethernet address, written with colons; empty where there is none."""
        return self._addresses.mac(bytes.fromhex(address.replace(":", ""))).hex(":") if address else ""

    def text(self, text: str) -> str:
        """What is said, with all names and addresses in it replaced."""
        return self.addresses_in(self._words.sub(self._word_in, text))

    def addresses_in(self, text: str) -> str:
        """A text with all addresses in it replaced."""
        return _ADDRESS.sub(self._address_in, text)

    def _of(self, kind: str, name: str) -> str:
        known = self._known.setdefault(kind, {})
        if name not in known:
            known[name] = f"{kind}-{len(known) + 1}"
            self.__dict__.pop("_words", None)
        return known[name]

    @cached_property
    def _words(self) -> re.Pattern[str]:
        """Every known name, the longest first, so that a part of one is not taken for another."""
        words = {name for kind, names in self._known.items() if kind not in _NEVER_SAID for name in names if name}
        each = "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))
        return re.compile(rf"(?<![A-Za-z0-9])(?:{each or '(?!)'})(?![A-Za-z0-9])")

    def _word_in(self, found: re.Match[str]) -> str:
        return next(names[found[0]] for names in self._known.values() if found[0] in names)

    def _address_in(self, found: re.Match[str]) -> str:
        if found["mac"]:
            return self.mac(found["mac"])
        try:
            if "/" in found[0]:
                return str(self._addresses.network(ip_network(found[0], strict=False)))
            return str(self._addresses.address(ip_address(found[0])))
        except ValueError:
            return found[0]  # a time, or another number with dots


def _numbered(kind: str, names: Sequence[str]) -> dict[str, str]:
    """Names of a kind, so that their order stays."""
    width = len(str(len(names)))
    return {name: f"{kind}-{number:0{width}}" for number, name in enumerate(names, 1)}

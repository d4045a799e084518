"""Every option, by subject."""

from __future__ import annotations

from pytest_ciliumwg.options import values
from pytest_ciliumwg.options.option import PROVIDERS, Option

PROFILES = ("core", "extended", "disruptive")
IP_FAMILIES = ("v4", "v6", "dual")
KUBE_PROXIES = ("iptables", "ipvs", "none")
ROUTINGS = ("native", "vxlan", "geneve")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
DEFAULT_CLUSTER = "ciliumwg"
CHANGES = (
    "agent-restart",
    "agent-restart-all",
    "pod-churn",
    "key-replaced",
    "device-down",
    "port-blocked",
    "node-restart",
    "node-drained",
    "node-removed",
    "node-added",
)
"""The disruptions, in the order in which they are made."""
CLUSTERS = ("kind", "existing")
"""The providers that have a real Kubernetes."""


ENABLE = Option(
    "ciliumwg", "Run the conformance suite for Cilium's WireGuard encryption", values.switch, "no", flag=True
)


def _switch(name: str, text: str, providers: tuple[str, ...] = PROVIDERS) -> Option:
    """What is declared to be on or off."""
    return Option(
        name, f"{text} (default: off; existing: as found)", values.switch, None, "on|off", providers=providers
    )


_RUN = (
    Option(
        "ciliumwg-provider",
        "Where the cluster comes from: kind (default), existing or lab",
        values.one_of(*PROVIDERS),
        "kind",
        "NAME",
    ),
    Option(
        "ciliumwg-profile",
        "Which checks run: core (default), extended, disruptive (changes the cluster, and runs core after each "
        "change), separated by commas",
        values.some_of(*PROFILES),
        "core",
        "NAMES",
    ),
    Option(
        "ciliumwg-require",
        "What the run has to come to for exit status 0: conformant refuses also what ran only in part "
        "(default: what ran has passed)",
        values.one_of("conformant"),
        None,
        "conformant",
    ),
    Option(
        "ciliumwg-other-pods",
        "Traffic of other pods in cleartext, known by its headers: check (default) fails, report only tells, off does "
        "not look",
        values.one_of("check", "report", "off"),
        "check",
        "check|report|off",
    ),
    Option("ciliumwg-report", "Write report.json and other evidence into this directory", values.path, None, "DIR"),
    Option(
        "ciliumwg-plan",
        "Print the checks, the flows and what would be made, and touch nothing",
        values.switch,
        "no",
        flag=True,
    ),
    Option(
        "ciliumwg-keep",
        "Leave the cluster standing at the end and say how to enter it; a kind cluster is used again",
        values.switch,
        "no",
        flag=True,
    ),
    Option(
        "ciliumwg-cleanup",
        "First remove what runs that were killed, or told to keep it, left behind",
        values.switch,
        "no",
        flag=True,
        providers=CLUSTERS,
    ),
    Option(
        "ciliumwg-timeout",
        "Seconds that one step may take until the cluster is ready (default: 600 for kind, 180 for existing)",
        values.number(1, 86400),
        None,
        "SECONDS",
        providers=CLUSTERS,
    ),
)
_DECLARED = (
    Option(
        "ciliumwg-cilium-version",
        "Cilium version X.Y or X.Y.Z to install, to expect, or for the lab to imitate (default: newest known; "
        "existing: as found)",
        values.cilium_version,
        None,
        "VERSION",
    ),
    Option(
        "ciliumwg-ip-family",
        "IP families: v4, v6 or dual (default; existing: as found)",
        values.one_of(*IP_FAMILIES),
        None,
        "FAMILY",
    ),
    Option(
        "ciliumwg-routing",
        "Cilium's routing: native (default), vxlan or geneve (existing: as found; the lab has no geneve)",
        values.one_of(*ROUTINGS),
        None,
        "MODE",
    ),
    Option(
        "ciliumwg-kube-proxy",
        "What serves Services: iptables (default), ipvs, or none for Cilium itself (existing: as found)",
        values.one_of(*KUBE_PROXIES),
        None,
        "MODE",
        providers=CLUSTERS,
    ),
    _switch("ciliumwg-node-encryption", "Whether traffic of nodes is encrypted too"),
    Option(
        "ciliumwg-node-encryption-opt-out",
        "Which nodes may opt out of node encryption: those with all of these labels, or none "
        "(default: node-role.kubernetes.io/control-plane, as Cilium's own)",
        values.opt_out,
        None,
        "LABELS|none",
    ),
    _switch(
        "ciliumwg-strict-egress",
        "Whether Cilium drops what would leave in cleartext: its strict mode since 1.15",
        CLUSTERS,
    ),
    _switch(
        "ciliumwg-strict-ingress",
        "Whether Cilium drops what arrives in cleartext: its strict mode since 1.19",
        CLUSTERS,
    ),
    _switch("ciliumwg-userspace-fallback", "Whether WireGuard may run in user space"),
)
_KIND = (
    Option(
        "ciliumwg-nodes",
        "How many nodes the cluster shall have (2 to 64; default: 3)",
        values.number(2, 64),
        None,
        "N",
        providers=("kind", "lab"),
    ),
    Option(
        "ciliumwg-cluster-name",
        f"Name of the kind cluster (default: {DEFAULT_CLUSTER})",
        values.cluster_name,
        DEFAULT_CLUSTER,
        "NAME",
        providers=("kind",),
    ),
    Option(
        "ciliumwg-node-image",
        "Node image, kindest/node:vX.Y.Z[@sha256:…] (default: the newest that the Cilium version was tested with)",
        values.word,
        None,
        "IMAGE",
        providers=("kind",),
    ),
    Option(
        "ciliumwg-chart",
        "Cilium's chart: a folder, an archive or oci://… (default: from Cilium's Helm repository)",
        values.word,
        None,
        "CHART",
        providers=CLUSTERS,
    ),
    Option(
        "ciliumwg-set",
        "Repeatable: one more Helm value, which wins over all others",
        values.assignments,
        "",
        "KEY=VALUE",
        repeatable=True,
        providers=("kind",),
    ),
    Option(
        "ciliumwg-values",
        "Repeatable: a file of Helm values, which win over our own",
        values.files,
        "",
        "FILE",
        repeatable=True,
        providers=("kind",),
    ),
    Option(
        "ciliumwg-load-image",
        "Repeatable: an image of the local Docker, or an archive of images, to load into all nodes",
        values.lines,
        "",
        "IMAGE|FILE",
        repeatable=True,
        providers=("kind",),
    ),
)
_EXISTING = (
    Option(
        "ciliumwg-kubeconfig",
        "kubeconfig of the existing cluster (default: $KUBECONFIG, ~/.kube/config, in-cluster)",
        values.path,
        None,
        "FILE",
        providers=("existing",),
    ),
    Option("ciliumwg-context", "Context of the kubeconfig", values.word, None, "NAME", providers=("existing",)),
    Option(
        "ciliumwg-node-selector",
        "Labels of the nodes to test (default: all nodes)",
        values.labels,
        None,
        "LABEL=VALUE[,…]",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-max-nodes",
        "Test at most so many nodes",
        values.number(2, 5000),
        None,
        "N",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-image-pull-secret",
        "Secret for pulling the agents' image; it is copied",
        values.word,
        None,
        "[NAMESPACE/]NAME",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-image",
        "Image of the agents; any with python3 >= 3.8 (default: a python image, pinned by digest)",
        values.word,
        None,
        "IMAGE",
        providers=CLUSTERS,
    ),
    Option(
        "ciliumwg-image-pull-policy",
        "Pull policy of that image (default: IfNotPresent)",
        values.one_of(*PULL_POLICIES),
        None,
        "POLICY",
        providers=CLUSTERS,
    ),
)
_LAB = (
    Option(
        "ciliumwg-fault",
        "Lab only, repeatable: inject a fault, to see the suite find it",
        values.names,
        "",
        "NAME[@NODE]",
        repeatable=True,
        providers=("lab",),
    ),
    Option(
        "ciliumwg-selftest",
        "Run the healthy lab and every fault, and show which check caught which; with --ciliumwg-fault only these",
        values.switch,
        "no",
        flag=True,
        providers=("lab",),
    ),
)
_CHANGES = (
    Option(
        "ciliumwg-change",
        f"Only these changes of the profile disruptive: {', '.join(CHANGES)} (default: all that the cluster can have)",
        values.several_of(*CHANGES),
        "",
        "NAMES",
    ),
    Option(
        "ciliumwg-upgrade",
        "Bring Cilium from the first version to each following one, and run the suite with each of them",
        values.cilium_versions,
        "",
        "V,V,…",
    ),
    Option(
        "ciliumwg-downgrade",
        "After the upgrade go back the same way",
        values.switch,
        "no",
        flag=True,
    ),
    Option(
        "ciliumwg-upgrade-command",
        "Upgrade by this shell command instead of Helm; {from} and {to} are the versions",
        values.word,
        None,
        "COMMAND",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-observe",
        "Watch for so long what others change; with --ciliumwg-upgrade at most so long for each version to come",
        values.duration,
        None,
        "30m",
    ),
    Option(
        "ciliumwg-rate",
        "Messages a second of each flow while the cluster is changed (default: 20)",
        values.number(1, 1000),
        "20",
        "N",
    ),
)
GROUPS = {
    "The run": (ENABLE, *_RUN),
    "What must hold": _DECLARED,
    "While things change": _CHANGES,
    "kind: make a cluster": _KIND,
    "existing: use a cluster": _EXISTING,
    "lab: imitate one": _LAB,
}
OPTIONS = tuple(option for group in GROUPS.values() for option in group)

"""Every option, by subject."""

from __future__ import annotations

from pytest_ciliumwg.options import asked, values
from pytest_ciliumwg.options.clusters import EXISTING, KIND
from pytest_ciliumwg.options.offline import OFFLINE
from pytest_ciliumwg.options.option import CLUSTERS, LIVE, PROVIDERS, RECORDED, Option

PROFILES = ("core", "extended", "disruptive")
IP_FAMILIES = ("v4", "v6", "dual")
KUBE_PROXIES = ("iptables", "ipvs", "none")
ROUTINGS = ("native", "vxlan", "geneve")
CHANGES = (
    "agent-restart",
    "agent-restart-all",
    "pod-churn",
    "key-replaced",
    "device-down",
    "port-blocked",
    "ipcache-lost",
    "node-restart",
    "node-drained",
    "node-removed",
    "node-added",
)
"""The disruptions, in the order in which they are made."""

ENABLE = Option(asked.NAME, asked.HELP, values.switch, "no", flag=True)


def _switch(name: str, text: str, providers: tuple[str, ...] = PROVIDERS) -> Option:
    """What is declared to be on or off."""
    return Option(
        name, f"{text} (default: off; existing, offline: as found)", values.switch, None, "on|off", providers=providers
    )


def provider_among(*names: str) -> Option:
    """Which provider, of some names."""
    return Option(
        "ciliumwg-provider",
        "Where the cluster comes from: kind (default), existing, lab, offline for what a sysdump and captures tell, or "
        "the name of a plugin's",
        values.one_of(*names),
        "kind",
        "NAME",
    )


PROVIDER = provider_among(*PROVIDERS)
_RUN = (
    PROVIDER,
    Option(
        "ciliumwg-profile",
        "Which checks run: core (default), extended (DNS, NodePorts, hostPorts, health endpoints, north-south), "
        "disruptive (changes the cluster, and runs core after each change), separated by commas",
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
        "ciliumwg-verdict-file",
        "Write the verdict, one sentence, into this file too, such as the termination message of a container",
        values.path,
        None,
        "FILE",
    ),
    Option(
        "ciliumwg-publish",
        "Put the verdict on this CronJob as an Event, and in a Report of OpenReports or a PolicyReport where the "
        "cluster has such",
        values.namespaced,
        None,
        "NAMESPACE/CRONJOB",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-other-pods",
        "Traffic of other pods in cleartext, known by its headers: check (default) fails, report only tells, off does "
        "not look",
        values.one_of("check", "report", "off"),
        "check",
        "check|report|off",
    ),
    Option(
        "ciliumwg-pairs",
        "Between which nodes flows run: all (default), ring for each node and the next one, sample:K for each node and "
        "K others, the next one first; both directions, and the verdict says on how many pairs",
        values.pairs,
        "all",
        "all|ring|sample:K",
        providers=LIVE,
    ),
    Option("ciliumwg-report", "Write report.json and other evidence into this directory", values.path, None, "DIR"),
    Option(
        "ciliumwg-plan",
        "Print the checks, the flows and what would be made, and touch nothing",
        values.switch,
        "no",
        flag=True,
        providers=LIVE,
    ),
    Option(
        "ciliumwg-keep",
        "Leave the cluster standing at the end and say how to enter it; a kind cluster is used again",
        values.switch,
        "no",
        flag=True,
        providers=LIVE,
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
        "Cilium's routing: native (default), vxlan or geneve (existing: as found)",
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
        providers=RECORDED,
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
    ),
    _switch(
        "ciliumwg-strict-ingress",
        "Whether Cilium drops what arrives in cleartext: its strict mode since 1.19",
        RECORDED,
    ),
    _switch("ciliumwg-userspace-fallback", "Whether WireGuard may run in user space"),
)
_LAB = (
    Option(
        "ciliumwg-wireguard",
        "Whose WireGuard the lab has: kernel or userspace, which is wireguard-go (default: the kernel's where there is "
        "one)",
        values.one_of("kernel", "userspace"),
        None,
        "kernel|userspace",
        providers=("lab",),
    ),
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
        providers=LIVE,
    ),
    Option(
        "ciliumwg-upgrade",
        "Bring Cilium from the first version to each following one, and run the suite with each of them",
        values.cilium_versions,
        "",
        "V,V,…",
        providers=LIVE,
    ),
    Option(
        "ciliumwg-downgrade",
        "After the upgrade go back the same way",
        values.switch,
        "no",
        flag=True,
        providers=LIVE,
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
        providers=LIVE,
    ),
    Option(
        "ciliumwg-rate",
        "Messages a second of each flow while the cluster is changed (default: 20)",
        values.number(1, 1000),
        "20",
        "N",
        providers=LIVE,
    ),
)
GROUPS = {
    "The run": (ENABLE, *_RUN),
    "What must hold": _DECLARED,
    "While things change": _CHANGES,
    "kind: make a cluster": KIND,
    "existing: use a cluster": EXISTING,
    "lab: imitate one": _LAB,
    "offline: judge a record of one": OFFLINE,
}
OPTIONS = tuple(option for group in GROUPS.values() for option in group)

"""The options of real clusters: how one is made, and how one is used."""

from __future__ import annotations

from pytest_ciliumwg.options import values
from pytest_ciliumwg.options.option import CLUSTERS, Option

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
DEFAULT_CLUSTER = "ciliumwg"

KIND = (
    Option(
        "ciliumwg-nodes",
        "How many nodes the cluster shall have (2 to 100; default: 3)",
        values.number(2, 100),
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
        "Repeatable: Cilium's chart, of any version or of one: a folder, an archive or oci://… (default: from Cilium's "
        "Helm repository)",
        values.charts,
        "",
        "[VERSION=]CHART",
        repeatable=True,
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
EXISTING = (
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
        "ciliumwg-cilium-namespace",
        "Namespace of Cilium's agents (default: where they are found)",
        values.word,
        None,
        "NAME",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-cilium-labels",
        "Labels of the agents' pods (default: k8s-app=cilium, else those of the DaemonSet that runs cilium-agent)",
        values.labels,
        None,
        "LABEL=VALUE[,…]",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-cilium-container",
        "Container of the agent in its pod (default: cilium-agent, else the one that runs it)",
        values.word,
        None,
        "NAME",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-cilium-config",
        "ConfigMap with Cilium's configuration (default: the one that the agents mount, else cilium-config)",
        values.word,
        None,
        "NAME",
        providers=("existing",),
    ),
    Option(
        "ciliumwg-look",
        "Through whose container nodes are looked at: cilium-agent (default), or own-agent where its image has no "
        "shell or no ip; then nothing is read before our agents are there",
        values.one_of("cilium-agent", "own-agent"),
        "cilium-agent",
        "cilium-agent|own-agent",
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

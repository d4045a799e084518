"""kind, helm, kubectl and docker in one: it says and does what they do, as far as this package uses them.

Copied to a folder on PATH under each name. `$STANDIN` is its folder: `scenario.json` says what goes wrong, `journal`
holds a line for each call, `clusters/` a file with the node names of each cluster. Standard library only, no site.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time

TYPE_CHECKING = False  # importing typing takes a sixth of the time that a call takes
if TYPE_CHECKING:
    from typing import Any, NoReturn

HOME = pathlib.Path(os.environ["STANDIN"])
SCENARIO: dict[str, Any] = json.loads((HOME / "scenario.json").read_text())
CLUSTERS = HOME / "clusters"
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{name: kind-NAME, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: kind-NAME, context: {cluster: kind-NAME, user: kind-NAME}}]
users: [{name: kind-NAME, user: {}}]
current-context: kind-NAME
"""
CREATE_FAILS = {
    "disk": 'failed to create cluster: command "docker run --name NODE kindest/node" failed with error: '
    "exit status 125\nCommand Output: docker: Error response from daemon: mkdir /var/lib/docker/overlay2/1f/merged: no "
    "space left on device.",
    "port": 'failed to create cluster: command "docker run --name NODE --publish=127.0.0.1:6443:6443/TCP" failed with '
    "error: exit status 125\nCommand Output: docker: Error response from daemon: driver failed programming external "
    "connectivity on endpoint NODE: Bind for 127.0.0.1:6443 failed: port is already allocated.",
    "half": 'failed to create cluster: failed to init node with kubeadm: command "docker exec --privileged NODE '
    'kubeadm init --config=/kind/kubeadm.conf --skip-token-print --v=6" failed with error: exit status 1',
}


def say(text: str) -> None:
    print(text, flush=True)


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def note(program: str, arguments: list[str]) -> None:
    entry: dict[str, Any] = {"program": program, "argv": arguments, "folder": str(pathlib.Path.cwd())}
    for option in ("--config", "--values"):
        entry[option] = [json.loads(pathlib.Path(value).read_text()) for value in options(arguments, option)]
    with (HOME / "journal").open("a") as journal:
        journal.write(json.dumps(entry) + "\n")


def options(arguments: list[str], name: str) -> list[str]:
    found = [argument.partition("=")[2] for argument in arguments if argument.startswith(name + "=")]
    return found + [arguments[at + 1] for at, argument in enumerate(arguments) if argument == name]


def fail(text: str) -> NoReturn:
    complain(text)
    sys.exit(1)


def kind(arguments: list[str]) -> None:
    name = (options(arguments, "--name") or ["kind"])[0]
    file = CLUSTERS / name
    match arguments[:2]:
        case ["version", *_]:
            say(f"kind v{SCENARIO.get('kind', '0.33.0')} go1.25.1 linux/amd64")
        case ["get", "clusters"]:
            found = sorted(path.name for path in CLUSTERS.iterdir())
            say("\n".join(found)) if found else complain("No kind clusters found.")
        case ["get", "nodes"]:
            say(file.read_text().strip()) if file.exists() else complain(f'No kind nodes found for cluster "{name}".')
        case ["create", "cluster"]:
            create(name, file, arguments)
        case ["delete", "cluster"]:
            complain(f'Deleting cluster "{name}" ...')
            if SCENARIO.get("delete") == "fails":
                fail(f'ERROR: failed to delete cluster "{name}": error deleting nodes: permission denied')
            file.unlink(missing_ok=True)
        case ["export", "logs"]:
            folder = pathlib.Path(arguments[2])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "kind-version.txt").write_text("kind v0.33.0\n")
        case ["load", *_]:
            pass
        case _:
            fail(f'ERROR: unknown command "{" ".join(arguments)}" for "kind"')


def create(name: str, file: pathlib.Path, arguments: list[str]) -> None:
    if file.exists() or SCENARIO.get("create") == "raced":
        file.write_text(f"{name}-control-plane\n")
        fail(f'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "{name}"')
    config = json.loads(pathlib.Path(options(arguments, "--config")[0]).read_text())
    complain(f'Creating cluster "{name}" ...\n • Ensuring node image ({config["nodes"][0]["image"]}) 🖼  ...')
    workers = [f"{name}-worker{number or ''}" for number in (0, *range(2, 99))]
    nodes = [f"{name}-control-plane", *workers[: len(config["nodes"]) - 1]]
    file.write_text("\n".join(nodes) + "\n")
    how = SCENARIO.get("create", "works")
    if how == "hangs":
        (HOME / "hanging").touch()
        time.sleep(60)
    if how in CREATE_FAILS:
        complain(" ✗ Preparing nodes 📦 📦 📦")
        if how != "half":  # where it fails half-way, what it deletes itself fails too
            file.unlink()
            complain(f"Deleted nodes: {json.dumps(nodes)}")
        fail("ERROR: " + CREATE_FAILS[how].replace("NODE", nodes[0]))
    text = SCENARIO.get("kubeconfig") or KUBECONFIG.replace("NAME", name)
    pathlib.Path(options(arguments, "--kubeconfig")[0]).write_text(text)
    complain(f' ✓ Joining worker nodes 🚜\nSet kubectl context to "kind-{name}"')


def helm(arguments: list[str]) -> None:
    if arguments[0] == "version":
        say(f"v{SCENARIO.get('helm', '3.19.0')}+g3d8990f")
    elif arguments[:2] == ["get", "values"]:
        say(json.dumps(json.loads((HOME / "values.json").read_text()) if (HOME / "values.json").exists() else None))
    elif SCENARIO.get("install") == "hangs":
        (HOME / "hanging").touch()
        time.sleep(60)
    elif SCENARIO.get("install") == "fails":
        fail(
            "Error: chart \"cilium\" matching 9.9.9 not found in https://helm.cilium.io index. (try 'helm repo update')"
        )
    else:
        if "double" in SCENARIO:
            roll_out(options(arguments, "--version")[0])
        say('Release "cilium" does not exist. Installing it now.\nNAME: cilium\nSTATUS: deployed')


def roll_out(wanted: str) -> None:
    """Do to the API double what Helm does to a cluster: another image, another revision."""
    version = SCENARIO.get("patches", {}).get(wanted, wanted.removeprefix("~"))
    found = ask("GET", "/apis/apps/v1/namespaces/kube-system/daemonsets/cilium")
    if f":v{version}@" not in json.dumps(found):
        image = f"quay.io/cilium/cilium:v{version}@sha256:{'0' * 64}"
        containers = [{"name": "cilium-agent", "image": image}]
        change = {"spec": {"template": {"spec": {"containers": containers}}}}
        ask("PATCH", "/apis/apps/v1/namespaces/kube-system/daemonsets/cilium", change)
        kept = ask("GET", "/api/v1/namespaces/kube-system/secrets")["items"]
        labels = {"owner": "helm", "name": "cilium", "version": str(len(kept) + 1), "status": "deployed"}
        name = f"sh.helm.release.v1.cilium.v{len(kept) + 1}"
        secret = {"metadata": {"name": name, "labels": labels}, "data": {}}
        ask("POST", "/api/v1/namespaces/kube-system/secrets", secret)


def ask(method: str, path: str, body: Any = None) -> Any:
    from urllib.request import Request, urlopen

    headers = {"Authorization": "Bearer double-token", "Content-Type": "application/merge-patch+json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(SCENARIO["double"] + path, data, headers, method=method), timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def docker(arguments: list[str]) -> None:
    state = SCENARIO.get("docker", "runs")
    if state == "stopped":
        fail("ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
    if state == "denied":
        fail("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock")
    if arguments[:2] == ["image", "inspect"] and arguments[2] not in SCENARIO.get("images", []):
        fail(f"[]\nError response from daemon: No such image: {arguments[2]}")
    if arguments[0] in ("stop", "start", "restart"):
        if state == arguments[0]:
            fail(f"Error response from daemon: cannot {state} container: {arguments[1]}: permission denied")
        ask("POST", f"/machines/{arguments[0]}/{arguments[1]}", {})
    say("Server Version: 28.5.1")


def kubectl(arguments: list[str]) -> None:
    if SCENARIO.get("api") == "silent":
        fail("Unable to connect to the server: x509: certificate signed by unknown authority")
    looks = HOME / "looks"
    with looks.open("a") as journal:
        journal.write(".")
    nodes = next(CLUSTERS.iterdir()).read_text().split()
    early = looks.stat().st_size <= SCENARIO.get("early_looks", 0)
    if "exec" in arguments:
        mode = SCENARIO.get("mode", "Wireguard")
        peers = len(nodes) - 1 - SCENARIO.get("missing_peers", 0)
        interface = {"name": "cilium_wg0", "listen-port": 51871, "public-key": "k=", "peer-count": peers, "peers": None}
        status: dict[str, Any] = {"mode": mode} | (
            {"wireguard": {"interfaces": [interface]}} if mode == "Wireguard" else {}
        )
        say(json.dumps({"encryption": status}))
    elif "logs" in arguments:
        say('level=info msg="x"\nlevel=fatal msg="failed to initialize wireguard: operation not supported"')
    elif "pods" in arguments:
        say(json.dumps({"items": [pod(node, early) for node in nodes]}))
    elif "json" in arguments:
        say(json.dumps({"items": [node_object(node) for node in nodes]}))
    else:
        say("NAME   STATUS")


def pod(node: str, early: bool) -> dict[str, Any]:
    crashing = SCENARIO.get("agents") == "crash"
    ready = not early and not crashing
    waiting = {"waiting": {"reason": "CrashLoopBackOff" if crashing else "PodInitializing"}}
    return {
        "metadata": {"name": f"cilium-{node}", "namespace": "kube-system"},
        "spec": {"nodeName": node, "hostNetwork": True},
        "status": {
            "phase": "Running" if ready else "Pending",
            "podIPs": [],
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"state": {"running": {}} if ready else waiting}],
        },
    }


def node_object(node: str) -> dict[str, Any]:
    return {
        "metadata": {"name": node},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


if __name__ == "__main__":
    program = pathlib.Path(sys.argv[0]).name
    note(program, sys.argv[1:])
    globals()[program](sys.argv[1:])

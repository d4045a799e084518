"""kind, helm, kubectl and docker in one: it says and does what they do, as far as this package uses them.

A folder on PATH has it under each name (see `install`). `$STANDIN` is its folder: `scenario.json` says what goes wrong,
`journal` holds a line for each call, `clusters/` a file with the node names of each cluster. It is started a thousand
times: no site, and of the library only what Python has loaded already, for json and pathlib take longer than all else.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, NoReturn


def install(folder: Path, program: str) -> None:
    """Put it into a folder under a program's name, to be compiled once for all."""
    from tests.python_script import start

    text = f"{start('-IS')}import sys\nsys.path.insert(0, {os.path.dirname(__file__)!r})\n"
    path = folder / program
    path.write_text(f"{text}from standin import main\nmain()\n", "utf-8")
    path.chmod(0o755)


def read(*path: str) -> str:
    with open(os.path.join(HOME, *path), encoding="utf-8") as file:
        return file.read()


def write(text: str, *path: str, mode: str = "w") -> None:
    with open(os.path.join(HOME, *path), mode, encoding="utf-8") as file:
        file.write(text)


def remove(*path: str) -> None:
    if there(*path):
        os.unlink(os.path.join(HOME, *path))


def there(*path: str) -> bool:
    return os.path.exists(os.path.join(HOME, *path))


def from_json(text: str) -> Any:
    return eval(text, {"true": True, "false": False, "null": None})


def to_json(value: Any) -> str:
    from _json import encode_basestring_ascii as quoted

    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {to_json(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    return quoted(value) if isinstance(value, str) else repr(value)


HOME = os.environ.get("STANDIN", "")
SCENARIO: dict[str, Any] = from_json(read("scenario.json")) if HOME else {}
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{name: kind-NAME, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: kind-NAME, context: {cluster: kind-NAME, user: kind-NAME}}]
users: [{name: kind-NAME, user: {}}]
current-context: kind-NAME
"""
IMAGE = "registry.example/cilium/cilium:v1.2.3"
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
    entry: dict[str, Any] = {"program": program, "argv": arguments, "folder": os.getcwd()}
    for option in ("--config", "--values"):
        entry[option] = [from_json(read(value)) for value in options(arguments, option)]
    write(to_json(entry) + "\n", "journal", mode="a")


def options(arguments: list[str], name: str) -> list[str]:
    found = [argument.partition("=")[2] for argument in arguments if argument.startswith(name + "=")]
    return found + [arguments[at + 1] for at, argument in enumerate(arguments) if argument == name]


def fail(text: str) -> NoReturn:
    complain(text)
    sys.exit(1)


def kind(arguments: list[str]) -> None:
    name = (options(arguments, "--name") or ["kind"])[0]
    file = ("clusters", name)
    match arguments[:2]:
        case ["version", *_]:
            say(f"kind v{SCENARIO.get('kind', '0.33.0')} go1.25.1 linux/amd64")
        case ["get", "clusters"]:
            found = sorted(os.listdir(os.path.join(HOME, "clusters")))
            say("\n".join(found)) if found else complain("No kind clusters found.")
        case ["get", "nodes"]:
            say(read(*file).strip()) if there(*file) else complain(f'No kind nodes found for cluster "{name}".')
        case ["create", "cluster"]:
            create(name, arguments)
        case ["delete", "cluster"]:
            complain(f'Deleting cluster "{name}" ...')
            if SCENARIO.get("delete") == "fails":
                fail(f'ERROR: failed to delete cluster "{name}": error deleting nodes: permission denied')
            remove(*file)
        case ["export", "logs"]:
            os.makedirs(arguments[2], exist_ok=True)
            write("kind v0.33.0\n", arguments[2], "kind-version.txt")
        case ["load", *_]:
            pass
        case _:
            fail(f'ERROR: unknown command "{" ".join(arguments)}" for "kind"')


def create(name: str, arguments: list[str]) -> None:
    if there("clusters", name) or SCENARIO.get("create") == "raced":
        write(f"{name}-control-plane\n", "clusters", name)
        fail(f'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "{name}"')
    config = from_json(read(options(arguments, "--config")[0]))
    complain(f'Creating cluster "{name}" ...\n • Ensuring node image ({config["nodes"][0]["image"]}) 🖼  ...')
    workers = [f"{name}-worker{number or ''}" for number in (0, *range(2, 99))]
    nodes = [f"{name}-control-plane", *workers[: len(config["nodes"]) - 1]]
    write("\n".join(nodes) + "\n", "clusters", name)
    how = SCENARIO.get("create", "works")
    if how == "slow":
        time.sleep(1.5)
        write("", "created")
    if how == "hangs":
        write("", "hanging")
        time.sleep(60)
    if how in CREATE_FAILS:
        complain(" ✗ Preparing nodes 📦 📦 📦")
        if how != "half":  # where it fails half-way, what it deletes itself fails too
            remove("clusters", name)
            complain(f"Deleted nodes: {to_json(nodes)}")
        fail("ERROR: " + CREATE_FAILS[how].replace("NODE", nodes[0]))
    text = SCENARIO.get("kubeconfig") or KUBECONFIG.replace("NAME", name)
    write(text, options(arguments, "--kubeconfig")[0])
    complain(f' ✓ Joining worker nodes 🚜\nSet kubectl context to "kind-{name}"')


def helm(arguments: list[str]) -> None:
    if arguments[0] == "version":
        say(f"v{SCENARIO.get('helm', '3.19.0')}+g3d8990f")
    elif arguments[0] == "pull":
        if SCENARIO.get("pull") == "fails":
            fail("Error: looks like the repository cannot be reached")
        if SCENARIO.get("pull") == "hangs":
            time.sleep(60)
        [folder] = options(arguments, "--destination")
        write("", folder, "cilium.tgz")
        write("", "fetched")
    elif arguments[:2] == ["get", "values"]:
        say(read("values.json") if there("values.json") else "null")
    elif SCENARIO.get("install") == "hangs":
        write("", "hanging")
        time.sleep(60)
    elif SCENARIO.get("install") == "fails":
        fail(
            "Error: chart \"cilium\" matching 9.9.9 not found in https://helm.cilium.io index. (try 'helm repo update')"
        )
    else:
        for version in options(arguments, "--version") if "double" in SCENARIO else []:
            roll_out(version)
        say('Release "cilium" does not exist. Installing it now.\nNAME: cilium\nSTATUS: deployed')


def roll_out(wanted: str) -> None:
    """Do to the API double what Helm does to a cluster: another image, another revision."""
    version = SCENARIO.get("patches", {}).get(wanted, wanted.removeprefix("~"))
    found = ask("GET", "/apis/apps/v1/namespaces/kube-system/daemonsets/cilium")
    if f":v{version}@" not in to_json(found):
        image = f"registry.example/cilium/cilium:v{version}@sha256:{'0' * 64}"
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
    data = None if body is None else to_json(body).encode()
    with urlopen(Request(SCENARIO["double"] + path, data, headers, method=method), timeout=30) as answer:  # noqa: S310
        return from_json(answer.read().decode())


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
    write(".", "looks", mode="a")
    nodes = read("clusters", os.listdir(os.path.join(HOME, "clusters"))[0]).split()
    early = len(read("looks")) <= SCENARIO.get("early_looks", 0)
    if "exec" in arguments:
        mode = SCENARIO.get("mode", "Wireguard")
        peers = len(nodes) - 1 - SCENARIO.get("missing_peers", 0)
        interface = {"name": "cilium_wg0", "listen-port": 51871, "public-key": "k=", "peer-count": peers, "peers": None}
        status: dict[str, Any] = {"mode": mode} | (
            {"wireguard": {"interfaces": [interface]}} if mode == "Wireguard" else {}
        )
        say(to_json({"encryption": status}))
    elif "logs" in arguments:
        say('level=info msg="x"\nlevel=fatal msg="failed to initialize wireguard: operation not supported"')
    elif "pods" in arguments:
        say(to_json({"items": [pod(node, early) for node in nodes]}))
    elif "json" in arguments:
        say(to_json({"items": [node_object(node) for node in nodes]}))
    else:
        say("NAME   STATUS")


def pod(node: str, early: bool) -> dict[str, Any]:
    crashing = SCENARIO.get("agents") == "crash"
    ready = not early and not crashing
    waiting = {"waiting": {"reason": "CrashLoopBackOff" if crashing else "PodInitializing"}}
    if "image" in SCENARIO and not (SCENARIO.get("image_passes") and not early):
        ready, (reason, message) = False, SCENARIO["image"]
        waiting = {"waiting": {"reason": reason, "message": message}}
    return {
        "metadata": {"name": f"cilium-{node}", "namespace": "kube-system", "labels": {"k8s-app": "cilium"}},
        "spec": {"nodeName": node, "hostNetwork": True, "containers": [{"name": "cilium-agent", "image": IMAGE}]},
        "status": {
            "phase": "Running" if ready else "Pending",
            "podIPs": [],
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "cilium-agent", "state": {"running": {}} if ready else waiting}],
        },
    }


def node_object(node: str) -> dict[str, Any]:
    return {
        "metadata": {"name": node},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def main() -> None:
    program = os.path.basename(sys.argv[0])
    note(program, sys.argv[1:])
    globals()[program](sys.argv[1:])


if __name__ == "__main__":
    main()

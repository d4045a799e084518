"""The way to a cluster: kubeconfigs, contexts, TLS, and the end of the process."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.existing import Declared, ExistingSpec, RetryPolicy, connect_existing
from pytest_ciliumwg.providers.kubernetes import contact, kube
from tests.apidouble.double import TOKEN
from tests.existing.conftest import HASTY, Connect, MakeDouble
from tests.patience import PATIENCE


def refusal(**spec: Any) -> str:
    """The sentence with which a spec is refused."""
    with pytest.raises(ProviderError) as caught:
        connect_existing(ExistingSpec(**({"retry_policy": HASTY} | spec)), lambda _: None)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_credentials_are_renewed_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now, renewals = [100.0], iter([ValueError("no token yet"), None, None])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def renew(configuration: Configuration) -> None:
        if error := next(renewals):
            raise error
        configuration.refresh_api_key_hook = renew  # type: ignore[assignment]  # as the library does

    configuration = Configuration()
    configuration.refresh_api_key_hook = kube.now_and_then(renew)  # type: ignore[assignment]

    def look() -> None:
        hook: Callable[[Configuration], None] | None = configuration.refresh_api_key_hook
        assert hook is not None
        hook(configuration)

    with pytest.raises(ValueError, match="no token yet"):
        look()
    look()
    for now[0] in (100.5, 100.999):
        look()
    now[0] = 101.0
    look()
    now[0] = 102.0
    with pytest.raises(StopIteration):
        look()


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert refusal() == "there is no kubeconfig: set KUBECONFIG or give --ciliumwg-kubeconfig"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert re.fullmatch(r"this pod's service account cannot be used \(.*\): give --ciliumwg-kubeconfig", refusal())


CONTENTS = {
    "not-yaml": (": [", r"the kubeconfig .* cannot be read: .+"),
    "empty": ("", r"the kubeconfig .* cannot be read: .+"),
    "something-else": ("just text", r"the kubeconfig .* cannot be read: something in it is not understood"),
    "no-contexts": (
        "apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n",
        r"cannot be read|no context",
    ),
    "half": (
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: x, user: y}}]}",
        r"the kubeconfig .* cannot be read: .*Expected.*clusters",
    ),
}


@pytest.mark.parametrize("name", list(CONTENTS))
def test_bad_kubeconfig(tmp_path: Path, name: str) -> None:
    content, says = CONTENTS[name]
    path = tmp_path / "kubeconfig"
    path.write_text(content, encoding="utf-8")
    assert re.search(says, refusal(kubeconfig=path)), refusal(kubeconfig=path)


def test_missing_file_and_context(recorded: MakeDouble, tmp_path: Path) -> None:
    assert re.search("kubeconfig .*/nowhere does not exist", refusal(kubeconfig=tmp_path / "nowhere"))
    path = recorded().kubeconfig(tmp_path / "kubeconfig")
    assert refusal(kubeconfig=path, context="prod") == (
        f"the kubeconfig {path} has no context 'prod', only double, stranger"
    )
    assert re.search(
        r"does not accept the credentials of context stranger of .* \(401\)",
        refusal(kubeconfig=path, context="stranger"),
    )


def plugin(path: Path, command: str, server: str = "http://127.0.0.1:1") -> Path:
    """A kubeconfig whose user gets credentials from a program."""
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cloud",
        "clusters": [{"name": "cloud", "cluster": {"server": server}}],
        "contexts": [{"name": "cloud", "context": {"cluster": "cloud", "user": "me"}}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def test_a_credential_plugin_that_is_missing(tmp_path: Path) -> None:
    path = plugin(tmp_path / "kubeconfig", "gke-gcloud-auth-plugin-of-nobody")
    assert refusal(kubeconfig=path) == (
        f"the context cloud of the kubeconfig {path} gets its credentials from a plugin that is not here: install "
        "gke-gcloud-auth-plugin-of-nobody, or put it on PATH, or choose another context"
    )


@pytest.mark.parametrize("script", ["echo 'token expired, run: login' >&2; exit 1", "echo '{}'", "echo nonsense"])
def test_a_credential_plugin_that_gives_nothing(tmp_path: Path, script: str) -> None:
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    text = refusal(kubeconfig=plugin(tmp_path / "kubeconfig", str(program)))
    assert re.search(r"credentials from a plugin that gave none \(.+\): run it by hand, log in again", text), text


def test_a_credential_plugin_that_works(recorded: MakeDouble, tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    credential = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": TOKEN}}
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    path = plugin(tmp_path / "kubeconfig", str(program), recorded().url)
    connect_existing(ExistingSpec(kubeconfig=path, retry_policy=HASTY, timeout=3.0), lambda _: None).close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_accepts_and_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    assert contact.FIRST_ANSWER < 30
    monkeypatch.setattr(contact, "FIRST_ANSWER", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = plugin(tmp_path / "kubeconfig", "true", f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        config = json.loads(path.read_text(encoding="utf-8"))
        config["users"] = [{"name": "me", "user": {"token": "t"}}]
        path.write_text(json.dumps(config), encoding="utf-8")
        began = time.monotonic()
        text = refusal(kubeconfig=path, retry_policy=RetryPolicy())
    assert "did not answer in time; check that it runs and can be reached from here" in text
    assert time.monotonic() - began < 25  # RetryPolicy alone would wait for 30 s, six times


PROXIES = {
    "socks": ("socks5://127.0.0.1:1", r"the proxy for the API server .* cannot be used .*take http://HOST:PORT"),
    "no-scheme": ("127.0.0.1:1", r"the proxy for the API server .* cannot be used .*take http://HOST:PORT"),
    "nobody-listens": (
        "http://me:secret@127.0.0.1:1",
        r"the proxy on the way to the API server .* does not work \(Connection refused\); check proxy-url there",
    ),
}


@pytest.mark.parametrize("where", ["kubeconfig", "environment"])
@pytest.mark.parametrize("name", list(PROXIES))
def test_bad_proxy(
    recorded: MakeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    proxy, says = PROXIES[name]
    if where == "environment":
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    named = {"proxy-url": proxy} if where == "kubeconfig" else {}
    path = recorded().kubeconfig(tmp_path / "kubeconfig", server="https://127.0.0.1:2", **named)
    text = refusal(kubeconfig=path)
    assert re.search(says, text), text
    assert "secret" not in text


SERVERS = {
    "nobody-listens": ("http://127.0.0.1:1", r"cannot be reached \(Connection refused\); check that the cluster runs"),
    "no-such-host": ("http://nowhere.invalid:6443", r"http://nowhere.invalid:6443 .* cannot be reached"),
    "tls-to-plain": ("https", r"no trusted TLS connection"),
}


@pytest.mark.parametrize("name", list(SERVERS))
def test_bad_server(recorded: MakeDouble, tmp_path: Path, name: str) -> None:
    server, says = SERVERS[name]
    double = recorded()
    url = double.url.replace("http", "https") if server == "https" else server
    path = double.kubeconfig(tmp_path / "kubeconfig", server=url)
    assert re.search(says, refusal(kubeconfig=path)), refusal(kubeconfig=path)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    directory = tmp_path_factory.mktemp("tls")
    made = directory / "both.pem"
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=double -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", *request.split(), "-keyout", str(directory / "key.pem"), "-out", str(directory / "crt.pem")]
    subprocess.run(command, check=True, capture_output=True)
    made.write_text((directory / "key.pem").read_text() + (directory / "crt.pem").read_text())
    return made


def test_tls(recorded: MakeDouble, tmp_path: Path, certificate: Path) -> None:
    double = recorded(tls=certificate)
    authority = base64.b64encode(certificate.with_name("crt.pem").read_bytes()).decode()
    path = double.kubeconfig(tmp_path / "kubeconfig", **{"certificate-authority-data": authority})
    connect_existing(ExistingSpec(kubeconfig=path, retry_policy=HASTY), lambda _: None).close()
    path = double.kubeconfig(tmp_path / "kubeconfig", **{"insecure-skip-tls-verify": True})
    connect_existing(ExistingSpec(kubeconfig=path, retry_policy=HASTY), lambda _: None).close()
    text = refusal(kubeconfig=double.kubeconfig(tmp_path / "kubeconfig"))
    assert re.search(
        r"no trusted TLS connection to the API server .*certificate.*; check the cluster's certificate", text
    )
    assert double.ours() == []


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"image_pull_policy": "Sometimes"}, "the image pull policy is Always, IfNotPresent or Never, not 'Sometimes'"),
        ({"max_nodes": 1}, "traffic between nodes needs at least 2 of them, not 1"),
        ({"image": " "}, "the image of the agents is empty"),
        ({"timeout": 0.0}, "the timeout cannot be 0 s"),
    ],
)
def test_bad_spec(spec: dict[str, Any], says: str) -> None:
    assert says in refusal(**spec)


def test_what_is_declared(recorded: MakeDouble, connect: Connect) -> None:
    declared = Declared(version="1.18", node_encryption=True, families=frozenset(IPFamily))
    cluster = connect(recorded("v1.15/off"), declared=declared)
    config = cluster.declared
    assert (config.version, config.node_encryption, config.encryption) == ("1.18", True, True)
    assert config.families == frozenset(IPFamily)
    assert config.routing_mode == "native"
    (line,) = (line for line in cluster.description if line.startswith("not declared"))
    assert "routing_mode native" in line
    assert "version" not in line


VICTIM = """
import sys, time
from pathlib import Path
from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing
spec = ExistingSpec(kubeconfig=Path(sys.argv[1]), retry_policy=RetryPolicy(poll=0.05, settle=0.1))
cluster = connect_existing(spec, lambda _: None)
print("connected", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(recorded: MakeDouble, tmp_path: Path, number: int) -> None:
    double = recorded()
    path = double.kubeconfig(tmp_path / "kubeconfig")
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    assert victim.stdout is not None
    with victim, victim.stdout as output:
        assert output.readline() == b"connected\n"
        assert len(double.ours()) == 1
        victim.send_signal(number)
        victim.wait(PATIENCE)
    assert double.ours() == []


def test_a_killed_run_is_found(recorded: MakeDouble, tmp_path: Path, connect: Connect) -> None:
    double = recorded()
    path = double.kubeconfig(tmp_path / "kubeconfig")
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, env=dict(os.environ))
    assert victim.stdout is not None
    with victim, victim.stdout as output:
        output.readline()
        victim.kill()
    (left,) = double.ours()
    lines: list[str] = []
    connect(double, lines.append)
    assert any(
        f"an earlier run left {left} (created " in line and f"{socket.gethostname()}/{victim.pid}" in line
        for line in lines
    )


def test_nothing_is_imported_early() -> None:
    code = (
        "import sys, pytest_ciliumwg.providers.existing; print(sorted({'kubernetes', 'websocket'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

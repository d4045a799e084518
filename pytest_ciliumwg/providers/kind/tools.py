"""The programs that a kind cluster needs: whether they are there, new enough, and at work."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect.helm import oldest_helm
from pytest_ciliumwg.providers.kind.reasons import reason
from pytest_ciliumwg.providers.kind.run import run
from pytest_ciliumwg.providers.kind.spec import KindSpec

QUICK_SECONDS = 60.0
_HELP = {
    "docker": "install Docker",
    "kind": "install it, see kind.sigs.k8s.io",
    "helm": "install it, see helm.sh",
    "kubectl": "install it, see kubernetes.io",
}
_LAB = "or use `--ciliumwg-provider=lab`, which needs none of this"
_VERSION = re.compile(r"\bv(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are."""

    docker: Path
    kind: Path
    helm: Path
    kubectl: Path


def find_tools(spec: KindSpec) -> Tools:
    """Find the programs, and make sure that they can do it.

    Raises:
        ProviderError: one is missing, too old, or does not answer.
    """
    # kind itself obeys this variable; podman and nerdctl answer `info` as docker does.
    engine = os.environ.get("KIND_EXPERIMENTAL_PROVIDER") or "docker"
    tools = Tools(*(_find(name) for name in (engine, "kind", "helm", "kubectl")))
    _check_version(tools.kind, ["version"], spec.oldest_kind, f"the node image {spec.image.partition('@')[0]}")
    _check_version(tools.helm, ["version", "--short"], oldest_helm(), "Cilium's chart")
    _check_engine(tools.docker)
    return tools


def _find(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise ProviderError(
            f"a kind cluster needs {name}, which is not on PATH: {_HELP.get(name, 'install it')}, {_LAB}"
        )
    return Path(found).absolute()


def _check_version(program: Path, arguments: list[str], oldest: str, what: str) -> None:
    done = run([program, *arguments], timeout=QUICK_SECONDS)
    found = _VERSION.search(done.output)
    if not done.ok or found is None:
        raise ProviderError(f"`{done.command}` does not tell its version: {reason(done, QUICK_SECONDS)}")
    wanted = tuple(int(part) for part in oldest.split("."))
    if tuple(int(part or 0) for part in found.groups()) < wanted:
        raise ProviderError(f"{program} is version {found[0]}, but {what} needs {oldest} or newer: update it")


def _check_engine(program: Path) -> None:
    done = run([program, "info"], timeout=QUICK_SECONDS)
    if done.ok:
        return
    if "permission denied" in done.errors.lower():
        raise ProviderError(f"this user may not use {program.name}: add him to the group docker, {_LAB}")
    why = reason(done, QUICK_SECONDS)
    raise ProviderError(
        f"{program.name} does not run ({why}): start it, for instance with `systemctl start docker`, {_LAB}"
    )


def check_images(tools: Tools, spec: KindSpec) -> None:
    """Make sure that the images to load are there.

    Raises:
        ProviderError: one is not.
    """
    for image in spec.load_images:
        if Path(image).is_file():
            continue
        if not run([tools.docker, "image", "inspect", image], timeout=QUICK_SECONDS).ok:
            raise ProviderError(f"--ciliumwg-load-image: there is no local image {image}: pull it, or name an archive")

"""The programs that a kind cluster needs: whether they are there, new enough, and at work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect.helm import oldest_helm
from pytest_ciliumwg.providers.kind.spec import KindSpec
from pytest_ciliumwg.providers.programs import QUICK_SECONDS, check_version, find, reason, run

_LAB = "or use `--ciliumwg-provider=lab`, which needs none of this"


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
    tools = Tools(*(find(name, who="a kind cluster", instead=_LAB) for name in (engine, "kind", "helm", "kubectl")))
    check_version(tools.kind, ["version"], spec.oldest_kind, f"the node image {spec.image.partition('@')[0]}")
    check_version(tools.helm, ["version", "--short"], oldest_helm(), "Cilium's chart")
    _check_engine(tools.docker)
    return tools


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

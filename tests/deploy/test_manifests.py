"""The manifests of deploy/: valid for Kubernetes, true to the table of rights, with the image named in one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.docs.deploy import pages
from pytest_ciliumwg.options.table import GROUPS

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = ("1.31", "1.35")


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(DEPLOY.glob("*/*.yaml")):
        if path.name != "kustomization.yaml":
            for made in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                yield f"{path.parent.name}-{made['kind']}", made


OBJECTS = list(objects())


@pytest.mark.parametrize("made", [made for _, made in OBJECTS], ids=[name for name, _ in OBJECTS])
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid(made: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(made, version, strict=True)


def test_an_object_that_is_not_valid_is_found() -> None:
    made = next(made for _, made in OBJECTS if made["kind"] == "CronJob")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**made, "spec": {**made["spec"], "shedule": "* * * * *"}}, "1.35", strict=True)


def test_the_roles_are_those_of_the_table() -> None:
    for name, content in pages().items():
        assert DEPLOY.joinpath(name).read_text(encoding="utf-8") == content, "run `make docs`"


@pytest.mark.parametrize("kustomization", sorted(DEPLOY.glob("*/kustomization.yaml")), ids=str)
def test_every_file_of_a_folder_is_named(kustomization: Path) -> None:
    found = yaml.safe_load(kustomization.read_text(encoding="utf-8"))
    here = {path.name for path in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in found["resources"] if not name.startswith("..")} == here
    for name in found["resources"]:
        assert kustomization.parent.joinpath(name).exists()


def pods() -> Iterator[dict[str, Any]]:
    for _, made in OBJECTS:
        if made["kind"] == "Job":
            yield made["spec"]["template"]["spec"]
        if made["kind"] == "CronJob":
            yield made["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_the_image_is_named_once_and_its_arguments_exist() -> None:
    options = {f"--{option.name}" for group in GROUPS.values() for option in group}
    for pod in pods():
        (container,) = pod["containers"]
        assert container["image"] == "pytest-ciliumwg"
        assert {argument.partition("=")[0] for argument in container["args"]} <= options
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["runAsNonRoot"] is True
    first, second = pods()
    second["containers"][0]["args"].remove("--ciliumwg-publish=ciliumwg/ciliumwg")
    assert first == second

"""What is taken out of large YAML before it is parsed is nothing that is read."""

from __future__ import annotations

import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.providers.offline.slimming import slimmed

POD = """\
apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
      note: |
        containers:
          spec: nothing
    managedFields:
    - apiVersion: v1
      fieldsV1:
        f:spec: {}
    name: a
  spec:
    containers:
    - env:
      - name: SECRET
        value: hidden

      name: app
    hostNetwork: true
    nodeName: n1
    volumes:
    - name: v
  status:
    phase: Running
- apiVersion: v1
  kind: Pod
  metadata:
    name: b
"""


def test_members_that_are_not_read_go_and_all_others_stay() -> None:
    first, second = yaml.safe_load(slimmed(POD, pods=True))["items"]
    assert first["metadata"] == {"name": "a"}
    assert first["spec"] == {"hostNetwork": True, "nodeName": "n1"}
    assert first["status"] == {"phase": "Running"}
    assert second["metadata"] == {"name": "b"}


def test_annotations_of_others_stay() -> None:
    (first, _) = yaml.safe_load(slimmed(POD, pods=False))["items"]
    assert "note" in first["metadata"]["annotations"]


def test_what_has_nothing_of_it_is_the_same() -> None:
    text = "data:\n  enable-ipv4: 'true'\n  note: |\n    two\n    lines\n"
    assert slimmed(text, pods=False) == text

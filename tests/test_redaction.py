"""Secrets are taken out of what others say, and nothing else is."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.observe.sections import Section
from pytest_ciliumwg.providers.programs import Done, reason
from pytest_ciliumwg.redaction import remember, without_secrets

KEY = "aP3mJ8b6hQ1Yt0ZrVxLk5cWnE2uGdS7fO9iTqB4yXHs="
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBGaHq\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"wg: Key is not the correct length or format: `{KEY}'", "wg: Key is not the correct length or format: `*'"),
        (f"[Interface]\nPrivateKey = {KEY}\nPort = 1", "[Interface]\nPrivateKey = *\nPort = 1"),
        ("private-key: c2VjcmV0c2VjcmV0c2Vj", "private-key: *"),
        (f"x {JWT} y", "x * y"),
        (f"Authorization: Bearer {'k' * 20}", "Authorization: Bearer *"),
        ("authorization: basic YWRtaW46aHVudGVyMg==", "authorization: basic *"),
        (f"before\n{PEM}\nafter", "before\n*\nafter"),
        (PEM[:40], "*"),
        ("helm --set hubble.password=hunter2,x=1", "helm --set hubble.password=*,x=1"),
        ('{"token": "abc.def-1", "a": 1}', '{"token": "*", "a": 1}'),
        ("    client-key-data: LS0tLS1CRUdJTg==\n", "    client-key-data: *\n"),
        ("https://me:hunter2@charts.example/x", "https://*@charts.example/x"),
    ],
)
def test_secrets_by_shape(text: str, left: str) -> None:
    assert without_secrets(text, {}) == left.replace("*", "[redacted]")


@pytest.mark.parametrize(
    "text",
    [
        "the kubeconfig has no token: give --ciliumwg-kubeconfig, or use basic authentication",
        "--ciliumwg-image-pull-secret=registry",
        "sha256:aab3238922bcc25a6f606eb525ffdc56ad2a1bc7b7a9e9c0c0d2b7c6c5d4e3f2",
        "lab-worker: 10.244.1.10 → fd00:10:244:2::a, udp:8472, 'secret' is not a device",
    ],
)
def test_other_words_are_left(text: str) -> None:
    assert without_secrets(text, {}) == text


def test_secrets_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "correct horse")
    monkeypatch.setenv("EDITOR", "some editor")
    assert str(ProviderError("said: correct horse, in some editor")) == "said: [redacted], in some editor"
    remember(["Bearer opaque-value-of-a-token", "short"])
    assert without_secrets("opaque-value-of-a-token is short") == "[redacted] is short"


def test_where_programs_are_quoted() -> None:
    helm = Done(("helm",), 1, "", f"Error: values: operator.token=abcdefgh, key {KEY}\n")
    told = str(ProviderError(f"helm failed: {reason(helm, 1.0)}"))
    assert told == "helm failed: values: operator.token=[redacted], key [redacted]"
    with pytest.raises(ObservationError) as caught:
        Section(output="", status=1, stderr=f"wg: cannot use {KEY}").good()
    assert str(caught.value) == "wg: cannot use [redacted]"

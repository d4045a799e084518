"""What is missing is one sentence with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import requirements
from pytest_ciliumwg.providers.lab.sandbox import Sandbox


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name in {"tc", "ip", "nft"} else real(name))
    with pytest.raises(ProviderError, match=r"needs ip, tc and nft, .* apt-get install iproute2 nftables$"):
        requirements.require_programs()


def test_a_kernel_without_wireguard_needs_a_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(requirements, "TUN", tmp_path / "tun")
    with pytest.raises(ProviderError, match="modprobe tun"):
        requirements.require_userspace_wireguard()
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(ProviderError, match="wireguard-go, which is not installed: apt-get install wireguard-go"):
        requirements.require_userspace_wireguard()


def test_a_kernel_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: False)
    requirements.require_families([IPFamily.V4])
    with pytest.raises(ProviderError, match="--ciliumwg-ip-family=v4"):
        requirements.require_families([IPFamily.V6])


def test_a_tun_device_that_is_for_root_alone_is_told_as_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tun = tmp_path / "tun"
    tun.touch()
    monkeypatch.setattr(requirements, "TUN", tun)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ProviderError, match=r"the lab's Geneve is a program, which cannot open .*tun: .* `chmod 666 "):
        requirements.require_tun("the lab's Geneve is a program, which")
    with pytest.raises(ProviderError, match=r"no WireGuard: .* leave out --ciliumwg-wireguard=kernel"):
        requirements.require_userspace_wireguard(instead=False)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("none", ""),
    ],
)
def test_a_user_without_namespaces_learns_which_setting_it_is(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(requirements, "_sysctl", lambda name: value if name == setting else None)
    sentence = requirements.why_no_sandbox("Operation not permitted")
    assert "run as root" in sentence
    assert setting.replace("/", ".") in sentence or setting == "none"


def test_a_refused_sandbox_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2; exit 1\n")
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ProviderError, match=r"could not make its own namespaces \(unshare: .*not permitted\): "):
        Sandbox()


def test_commands_that_fail_or_hang_are_one_sentence() -> None:
    sandbox = Sandbox()
    try:
        with pytest.raises(ProviderError, match="a command in the lab failed: oh no"):
            sandbox.run("echo oh no >&2; false; echo never")
        with pytest.raises(ProviderError, match="did not end within 0 s"):
            sandbox.run("sleep 9", timeout=0.05)
    finally:
        sandbox.close()
    with pytest.raises(ProviderError, match="a command in the lab failed"):
        sandbox.run("true")
    with pytest.raises(ProviderError, match="already ended"):
        sandbox.keep()

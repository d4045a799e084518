"""What this machine must have for a lab, and the one sentence that says what is missing and how to get it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pytest_ciliumwg.errors import ProviderError, more_on
from pytest_ciliumwg.model.cluster import IPFamily

PACKAGES = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "wg": "wireguard-tools",
}
"""The programs that every lab needs and the Debian package of each."""

TUN = Path("/dev/net/tun")


def environment() -> dict[str, str]:
    """The environment of the lab's programs: nothing of the caller's but the search path.

    The system directories are added because Debian keeps them from the PATH of ordinary users.
    """
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def require_programs(packages: dict[str, str] = PACKAGES, *, purpose: str = "the lab") -> None:
    """Insist on programs.

    Raises:
        ProviderError: one of them is missing.
    """
    path = environment()["PATH"]
    missing = [program for program in packages if shutil.which(program, path=path) is None]
    if missing:
        raise ProviderError(
            f"{purpose} needs {_listed(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            f"apt-get install {' '.join(sorted({packages[program] for program in missing}))}"
        )


def require_userspace_wireguard(*, instead: bool = True) -> None:
    """Insist on what stands in for the kernel's WireGuard.

    Raises:
        ProviderError: it may not stand in, wireguard-go is missing, or the tun device is or is not for this user.
    """
    if not instead:
        raise ProviderError(
            "this kernel has no WireGuard: load the module with `modprobe wireguard`, or leave out "
            "--ciliumwg-wireguard=kernel for wireguard-go"
        )
    require_programs({"wireguard-go": "wireguard-go"}, purpose="the lab, without the kernel's WireGuard,")
    require_tun("without the kernel's WireGuard the lab needs wireguard-go, which")


def require_tun(who: str) -> None:
    """Insist on the device that programs use for networks of their own.

    Args:
        who: The start of the error's sentence.

    Raises:
        ProviderError: it is missing, or not for this user.
    """
    if os.access(TUN, os.R_OK | os.W_OK):
        return
    if TUN.exists():
        advice = f"let this user open it with `chmod 666 {TUN}`, as usual systems do, or run as root"
    else:
        advice = f"load the module with `modprobe tun`, or in a container add `--device {TUN}`"
    raise ProviderError(f"{who} cannot open {TUN}: {advice}")


def require_families(families: Iterable[IPFamily]) -> None:
    """Insist on IPv6 in the kernel where it is asked for.

    Raises:
        ProviderError: the kernel was started without IPv6.
    """
    if IPFamily.V6 in families and not Path("/proc/sys/net/ipv6").exists():
        raise ProviderError("this kernel has IPv6 switched off: ask for IPv4 only with --ciliumwg-ip-family=v4")


def why_no_sandbox(detail: str) -> str:
    """Say why the kernel refused the lab its namespaces, and what to do."""
    if "filesystem propagation" in detail:
        advice = "this is a chroot; make its folder a mount with `mount --bind DIR DIR` before you enter it"
    elif os.geteuid() == 0:
        advice = "this root lacks CAP_SYS_ADMIN or CAP_NET_ADMIN; in a container, run it with --privileged"
    elif _sysctl("kernel/unprivileged_userns_clone") == "0":
        advice = "run as root, or allow user namespaces with `sysctl kernel.unprivileged_userns_clone=1`"
    elif _sysctl("user/max_user_namespaces") == "0":
        advice = "run as root, or allow user namespaces with `sysctl user.max_user_namespaces=10000`"
    elif _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        advice = "run as root, or allow user namespaces with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    else:
        advice = "run as root, or allow unprivileged user namespaces on this machine"
    more = more_on("namespaces-of-the-lab")
    return f"the lab could not make its own namespaces ({detail or 'no reason given'}): {advice}{more}"


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

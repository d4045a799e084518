"""Healthy runs in a row, and runs killed at random moments: `python -m bench.endurance [HEALTHY] [KILLED]`.

Each healthy run must conform. After each killed run, a run must conform, and at the end nothing may be left behind:
no process, no network namespace, no interface, no rule, no file.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAB = [sys.executable, "-m", "pytest", "--ciliumwg", "--ciliumwg-provider=lab", "-q", "-p", "no:cacheprovider"]
LOOKS = (
    "ip -br link",
    "ip rule; ip -6 rule",
    "ip netns list",
    "nft list ruleset",
    "ls /run/netns /run/ciliumwg /run/wireguard 2>/dev/null || true",
)


def look() -> list[str]:
    """The machine's state, as far as a lab could touch it."""
    return [
        subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout for command in LOOKS
    ]


def survivors(sessions: list[int]) -> list[str]:
    """Processes of our runs that still live. Namespaces live as long as their processes, nothing else holds them."""
    table = subprocess.run(["ps", "-eo", "sid=,pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in table.splitlines() if int(line.split()[0]) in sessions]


def healthy(directory: str, sessions: list[int]) -> tuple[bool, float]:
    """Whether a run conforms, and its seconds."""
    began = time.monotonic()
    run = _run(directory, sessions)
    if run.returncode:
        print(run.stdout[-3000:], run.stderr[-1000:])
    return run.returncode == 0, time.monotonic() - began


def killed(directory: str, dice: random.Random, sessions: list[int]) -> float:
    """Kill a run at a random moment of its life; returns the moment."""
    moment = dice.uniform(0.2, 2.2)
    with subprocess.Popen(
        LAB, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        sessions.append(process.pid)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
    return moment


def _run(directory: str, sessions: list[int]) -> subprocess.CompletedProcess[str]:
    """One run in a session of its own, so that its processes can be found."""
    with subprocess.Popen(
        LAB, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        sessions.append(process.pid)
        out, err = process.communicate()
    return subprocess.CompletedProcess(LAB, process.returncode, out, err)


def main(runs: int, kills: int) -> int:
    """Run all, print the counts; 0 when all was as it must be."""
    dice = random.Random(time.time())  # noqa: S311
    before = look()
    sessions: list[int] = []
    with tempfile.TemporaryDirectory() as directory:
        results = [healthy(directory, sessions) for _ in range(runs)]
        moments, after_kill = [], []
        for _ in range(kills):
            moments.append(killed(directory, dice, sessions))
            after_kill.append(healthy(directory, sessions)[0])
        left = list(Path(directory).iterdir())
    deadline = time.monotonic() + 5
    while survivors(sessions) and time.monotonic() < deadline:
        time.sleep(0.1)
    after, alive = look(), survivors(sessions)
    seconds = sorted(took for _, took in results) or [0.0]
    print(f"healthy: {sum(good for good, _ in results)} of {runs} conform, {seconds[0]:.1f} to {seconds[-1]:.1f} s")
    print(f"killed: {kills}, at {', '.join(f'{moment:.2f}' for moment in moments)} s; then {sum(after_kill)} conform")
    for name, earlier, later in zip(LOOKS, before, after, strict=True):
        if earlier != later:
            print(f"LEFT BEHIND ({name}):\n{earlier}--- became\n{later}")
    print(f"left behind: {len(left)} files, {len(alive)} processes; machine as before: {before == after}")
    return int(
        not (all(good for good, _ in results) and all(after_kill) and before == after and not left and not alive)
    )


if __name__ == "__main__":
    counts = [int(argument) for argument in sys.argv[1:]]
    raise SystemExit(main(*(counts or [50, 20])))

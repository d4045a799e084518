"""The node agent: watches native devices, sends and serves test traffic, speaks JSON.

It runs on nodes and in pods that are not ours: Python >= 3.8, the standard library only, no tcpdump, no `wg`. The
modules of this folder travel as one file, a zip archive that `python3` runs as it is (see `bundle`).
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = "ciliumwg_agent"
_MAIN = f"from {PACKAGE}.service import main\nraise SystemExit(main())\n"


def bundle() -> bytes:
    """The agent as one runnable file: `python3 agent.pyz serve|call --socket PATH`.

    The bytes depend on the sources alone, so the same agent always has the same digest.
    """
    import io
    import zipfile  # which takes longer to load than all of the agent, and the agent needs it not

    def add(name: str, text: str) -> None:
        entry = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        out.writestr(entry, text)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        folder = Path(__file__).parent
        for path in sorted(folder.rglob("*.py")):
            add(f"{PACKAGE}/{path.relative_to(folder).as_posix()}", path.read_text(encoding="utf-8"))
        add("__main__.py", _MAIN)
    return archive.getvalue()


def caller_script() -> bytes:
    """A program that does what `agent.pyz call` does, and starts faster: `python3 call.py PATH`."""
    return Path(__file__).with_name("caller.py").read_bytes()

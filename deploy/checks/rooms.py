"""Stands in for containers: a folder that looks like a root file system, entered with namespaces and ``chroot``.

The base image is this machine's own /usr, read-only, with a Python at /usr/local. Needs root on Linux.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SHARED = ("usr", "etc")
_USUALLY_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def refusal() -> str:
    """Return why rooms cannot be made here; empty when they can."""
    try:
        tried = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "there is no unshare (Linux, package util-linux)"
    if os.geteuid() != 0:
        return "only root may make such rooms"
    return tried.stderr.strip() if tried.returncode else ""


def _of_the_system() -> bool:
    return sys.base_prefix == "/usr"


def _read_only(source: Path, target: str) -> list[str]:
    return [f"mount --bind {shlex.quote(str(source))} {target}", f"mount -o remount,bind,ro {target}"]


@dataclass(frozen=True)
class Room:
    """A folder that is a root file system while something runs in it."""

    root: Path

    @classmethod
    def make(cls, folder: Path) -> "Room":
        """Lay out the folder."""
        root = folder / "root"
        for name in (*_SHARED, "dev", "proc", "tmp", "root/.config"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        for name in _USUALLY_LINKS:
            original = Path("/") / name
            if original.is_symlink():
                (root / name).symlink_to(original.readlink())
            elif original.is_dir():
                (root / name).mkdir()
        if _of_the_system():
            local = folder / "local" / "bin"
            local.mkdir(parents=True)
            (local / "python").symlink_to(f"/usr/bin/python3.{sys.version_info.minor}")
        else:
            (root / sys.base_prefix.lstrip("/")).mkdir(parents=True)
        return cls(root)

    def command(self, words: Sequence[str], *, workdir: str, user: str = "", read_only: bool = False) -> list[str]:
        """Return the command that runs ``words`` in the room, as process 1 of it.

        With ``user`` (``uid:gid``) without any right of root's, and none to be had; with ``read_only`` nothing in the
        room can be written.
        """
        inside = [*self._without_rights(user), "/usr/bin/env", "-C", workdir, *words]
        script = "\n".join(
            [*self._mounts(read_only), f"exec /usr/sbin/chroot {shlex.quote(str(self.root))} {shlex.join(inside)}"]
        )
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script]

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], *, workdir: str = "/", user: str = "",
        read_only: bool = False,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run to the end; never raises for an exit code."""
        command = self.command(words, workdir=workdir, user=user, read_only=read_only)
        return subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False, timeout=600)

    def _mounts(self, read_only: bool) -> list[str]:
        root = shlex.quote(str(self.root))
        lines = [f"mount --bind {root} {root}"]
        for name in (*_SHARED, *(each for each in _USUALLY_LINKS if not (self.root / each).is_symlink())):
            if (self.root / name).is_dir():
                lines += _read_only(Path("/") / name, f"{root}/{name}")
        own = self.root.parent / "local"
        if not _of_the_system():
            own = Path(sys.base_prefix)
            lines += _read_only(own, f"{root}{own}")  # its libraries are looked for at its own place
        lines += [
            *_read_only(own, f"{root}/usr/local"),
            f"mount --rbind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
        ]
        return lines + ([f"mount -o remount,bind,ro {root}"] if read_only else [])

    @staticmethod
    def _without_rights(user: str) -> list[str]:
        if not user:
            return []
        uid, _, gid = user.partition(":")
        who = [f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups"]
        return ["/usr/bin/setpriv", *who, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]

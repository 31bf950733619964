"""Both commands of the README in an empty Debian, as a new user meets them: whether they work, how long, how large.

`make fresh` builds a root with debootstrap, with Python, make and git in it and nothing else, clones the last commit
into it, and runs `make demo` and `make test` there. The mirror of Debian comes from apt's own configuration, what pip
needs (indexes, certificates, proxies) from pip's and from the environment, both at run time. Standard library alone.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

REPO = Path(__file__).parents[2]
SUITES = {"12": "bookworm", "13": "trixie"}
COMMANDS = {"demo": "make demo", "test": "make test"}
PACKAGES = "python3,python3-venv,make,git"
HOME = Path("root/cleanplate")  # below the new root
OF_NETWORK = re.compile(r"PIP_\w+|\w*CERT\w*|\w*CA_BUNDLE|\w+_proxy", re.I)  # names of variables
FETCHED = re.compile(r"^ *Downloading \S+(?<!\.metadata) \(([\d.]+) (kB|MB|GB)\)", re.M)
GIGABYTES = {"kB": 1e-6, "MB": 1e-3, "GB": 1.0}


def main() -> int:
    wanted = _arguments()
    if reason := _cannot():
        print(f"skipped: {reason}")
        return 0
    wanted.work.mkdir(parents=True, exist_ok=True)
    accounts = [_try_out(debian, wanted) for debian in wanted.debian]
    print("\n".join(line for lines, _ in accounts for line in lines))
    return 0 if all(well for _, well in accounts) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fresh", description="both commands in an empty Debian")
    parser.add_argument("--debian", action="append", choices=SUITES, help="12 or 13; both unless given")
    parser.add_argument("--only", choices=COMMANDS, help="one of the commands")
    parser.add_argument("--mirror", default=_mirror(), help="of Debian; the one apt uses unless given")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "cleanplate-fresh", help="10 GB free"
    )
    parser.add_argument("--keep", action="store_true", help="leave the roots, and use those that are there")
    wanted = parser.parse_args()
    wanted.debian = wanted.debian or list(SUITES)
    wanted.commands = [wanted.only] if wanted.only else list(COMMANDS)
    return wanted


def _cannot() -> str | None:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "an empty Debian is built on Linux, as root"
    if not shutil.which("debootstrap") and shutil.which("apt-get"):
        subprocess.run(["apt-get", "-qq", "install", "--yes", "debootstrap"], stdout=subprocess.DEVNULL)
    return None if shutil.which("debootstrap") else "debootstrap is missing, and apt-get cannot install it"


def _mirror() -> str | None:
    if not shutil.which("apt-get"):
        return None
    lines = _output("apt-get", "indextargets", "--format", "$(COMPONENT) $(REPO_URI)").splitlines()
    return next((line.split()[1] for line in lines if line.startswith("main ")), None)


def _try_out(debian: str, wanted: argparse.Namespace) -> tuple[list[str], bool]:
    """What to print of one Debian, and whether every command ended well."""
    root = wanted.work / SUITES[debian]
    log = wanted.work / f"debian-{debian}.log"
    if not wanted.keep:
        shutil.rmtree(root, ignore_errors=True)
    try:
        with log.open("wb") as file:
            return _commands_in(root, debian, wanted, file)
    finally:
        print(f"Debian {debian}: the log is {log}", flush=True)
        if not wanted.keep:
            shutil.rmtree(root, ignore_errors=True)


def _commands_in(root: Path, debian: str, wanted: argparse.Namespace, log) -> tuple[list[str], bool]:
    if not (root / "etc/debian_version").exists():
        print(f"Debian {debian}: an empty one in {root}", flush=True)
        build = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITES[debian], str(root)]
        if subprocess.run([*build, *filter(None, [wanted.mirror])], stdout=log, stderr=log).returncode:
            return [f"Debian {debian}: debootstrap failed"], False
    variables = {name: value for name, value in os.environ.items() if OF_NETWORK.fullmatch(name)}
    bound = _bring(root, [*_paths_of_pip(), *_paths_in(variables.values())])
    _clone(root / HOME)
    lines, well = [f"Debian {debian}, {_output('chroot', str(root), 'python3', '--version').strip()}:"], True
    for name in wanted.commands:
        command = COMMANDS[name]
        print(f"Debian {debian}: {command}", flush=True)
        began, place = time.monotonic(), log.tell()
        code = _run(root, bound, variables, command, log)
        seconds = time.monotonic() - began
        fetched = sum(float(size) * GIGABYTES[unit] for size, unit in FETCHED.findall(_text(log, place)))
        sizes = [f"{_gigabytes(place):.1f} GB" for place in (root / HOME / ".venv", root)]
        lines.append(
            f"  {command}: {'well' if code == 0 else f'exit code {code}'}, {seconds / 60:.1f} min, {fetched:.1f} GB "
            f"fetched by pip (besides what lies on this disk), .venv {sizes[0]}, the whole root {sizes[1]}"
        )
        well = well and code == 0
    return lines, well


def _clone(place: Path) -> None:
    """The last commit of this repository; a clone that was kept gets it too."""
    if not place.exists():
        subprocess.run(["git", "clone", "--quiet", str(REPO), str(place)], check=True)
    for words in (("fetch", "--quiet", "origin", "HEAD"), ("reset", "--quiet", "--hard", "FETCH_HEAD")):
        subprocess.run(["git", "-C", str(place), *words], check=True)


def _paths_of_pip() -> Iterable[Path]:
    """pip's configuration files, and the files and folders that they name."""
    files = re.findall(r"^\s*(/\S+), exists: True", _output(sys.executable, "-m", "pip", "config", "debug"), re.M)
    yield from map(Path, files)
    yield from _paths_in([_output(sys.executable, "-m", "pip", "config", "list")])


def _paths_in(texts: Iterable[str]) -> Iterable[Path]:
    """Whatever exists of the paths in these; of an index on disk (file://) the folder above, where its files lie."""
    for kind, path in re.findall(r"(?<![:/\w.])(file://)?(/[^\s'\",:]+)", "\n".join(texts)):
        if Path(path).exists():
            yield Path(path).parent if kind else Path(path)


def _bring(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Copy what the network needs to the same places below a root. Folders outside /etc may be large: returned, to be
    bound there while a command runs."""
    bound = []
    for path in sorted({Path("/etc/resolv.conf"), Path("/etc/hosts"), *paths}):
        place = root / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            place.unlink(missing_ok=True)  # it may be a link, which seen from here leads out of the root
            shutil.copyfile(path, place)
        elif path.is_relative_to("/etc"):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(path, place, ignore_dangling_symlinks=True)
        elif path.is_dir():
            place.mkdir(exist_ok=True)
            bound.append(path)
    return bound


def _run(root: Path, bound: list[Path], variables: dict[str, str], command: str, log) -> int:
    """A command in the clone. Mounts and processes are its own and go with it: the root can be removed afterwards."""
    mounts = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev", f"mount --rbind /sys {root}/sys"]
    mounts += [f"mount --bind -o ro {path} {root}{path}" for path in bound]
    own = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **variables}
    words = [f"{name}={value}" for name, value in own.items()]
    inside = shlex.join(["chroot", str(root), "env", "-i", *words, "sh", "-c", f"cd /{HOME} && exec {command}"])
    script = " && ".join([*mounts, f"exec {inside}"])
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    return subprocess.run(alone, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT).returncode


def _text(log, place: int) -> str:
    return Path(log.name).read_bytes()[place:].decode(errors="replace")


def _gigabytes(folder: Path) -> float:
    ended = subprocess.run(["du", "-sxk", str(folder)], capture_output=True, text=True)
    return int(ended.stdout.split()[0]) * 1024 / 1e9 if ended.stdout else 0.0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())

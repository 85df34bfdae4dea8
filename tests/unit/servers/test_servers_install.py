"""Installing Debian's packages: with fresh lists, and without a service that runs now or after the next start."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.servers import ServersUnavailable, install


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine in a folder: ``bin`` is all its PATH, ``seen`` is what its ``apt-get`` and others were asked."""
    for name in ("bin", "sbin", "units"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(install, "POLICY", tmp_path / "sbin" / "policy-rc.d")
    monkeypatch.setattr(install, "UNIT_FOLDER", tmp_path / "units")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("systemctl", "update-rc.d"):
        put_command(tmp_path, name, f'echo "{name} $*" >> {tmp_path}/seen')
    return tmp_path


def put_command(machine: Path, name: str, script: str) -> None:
    command = machine / "bin" / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def seen(machine: Path) -> list[str]:
    return (machine / "seen").read_text().splitlines()


def put_apt_get(machine: Path, *, units: str = "") -> None:
    """As a package does: ask whether the service may start, and bring its units."""
    ask = f"{machine}/sbin/policy-rc.d rabbitmq-server start; answer=$?"
    bring = f"for unit in {units}; do : > {machine}/units/$unit; done" if units else ":"
    put_command(machine, "apt-get", f'shift 2; {ask}; echo "$1: $answer" >> {machine}/seen; {bring}')


def ask_policy(machine: Path) -> int:
    """Ask as some other installation on the machine would."""
    return subprocess.run([machine / "sbin" / "policy-rc.d", "cron", "start"], check=False).returncode


def test_the_lists_are_updated_first_and_no_service_starts_now(machine: Path) -> None:
    put_apt_get(machine)
    said: list[str] = []
    install.install(["rabbitmq-server"], said.append)
    assert said == ["installing rabbitmq-server; their system services stay off"]
    assert seen(machine) == ["update: 101", "install: 101"]
    assert list((machine / "sbin").iterdir()) == []


def test_processes_that_begin_together_install_once_and_the_others_wait(machine: Path) -> None:
    """As test processes do on a bare machine: nobody goes on before the package is whole."""
    put_command(
        machine, "apt-get", f"[ $3 = update ] && exit; echo $3 >> {machine}/seen; sleep 0.3; : > {machine}/whole"
    )
    (machine / "bin" / "sleep").symlink_to("/bin/sleep")
    script = (
        "import os, sys; from pathlib import Path; from worker.servers import install\n"
        "os.geteuid = lambda: 0; install.POLICY = Path(sys.argv[1]); install.UNIT_FOLDER = Path(sys.argv[2])\n"
        "whole = Path(sys.argv[3]); install.tempfile.tempdir = str(whole.parent)\n"
        "install.install_missing(lambda: [] if whole.exists() else ['postgresql'], print)\n"
        "sys.exit(0 if whole.exists() else 3)"
    )
    arguments = [sys.executable, "-c", script, install.POLICY, install.UNIT_FOLDER, machine / "whole"]
    together = [subprocess.Popen(arguments) for _ in range(4)]
    assert [process.wait(30) for process in together] == [0, 0, 0, 0]
    assert seen(machine) == ["install"]
    assert list((machine / "sbin").iterdir()) == []


def test_no_service_that_came_with_the_packages_starts_with_the_machine(machine: Path) -> None:
    (machine / "units" / "epmd.service").touch()  # somebody's, from before
    put_apt_get(machine, units="rabbitmq-server.service epmd.service")
    install.install(["rabbitmq-server"], lambda _text: None)
    assert seen(machine)[2:] == [
        "systemctl --quiet disable rabbitmq-server.service",
        "update-rc.d rabbitmq-server disable",
    ]


def test_other_installations_are_not_told_to_start_nothing(machine: Path) -> None:
    put_command(
        machine, "apt-get", f"unset PIKE_ECONOMIC_INSTALLS; {machine}/sbin/policy-rc.d x; echo $? >> {machine}/seen"
    )
    install.install(["postgresql"], lambda _text: None)
    assert seen(machine) == ["0", "0"]


def test_a_policy_of_the_machine_holds_for_others_meanwhile_and_is_back_afterwards(machine: Path) -> None:
    own = machine / "own-policy"
    own.write_text("#!/bin/sh\nexit 104\n")
    own.chmod(0o755)
    install.POLICY.symlink_to(own)
    put_command(
        machine, "apt-get", f"unset PIKE_ECONOMIC_INSTALLS; {machine}/sbin/policy-rc.d x; echo $? >> {machine}/seen"
    )
    install.install(["postgresql"], lambda _text: None)
    assert seen(machine) == ["104", "104"]
    assert install.POLICY.readlink() == own
    assert own.read_text() == "#!/bin/sh\nexit 104\n"


@pytest.mark.parametrize("own", [True, False], ids=["with a policy", "without one"])
def test_a_policy_left_by_a_killed_installation_does_no_harm_and_is_cleared_by_the_next(
    machine: Path, own: bool
) -> None:
    if own:
        install.POLICY.write_text("#!/bin/sh\nexit 104\n")
        install.POLICY.chmod(0o755)
    put_command(machine, "apt-get", "kill -KILL $PPID")
    script = (
        "import os, sys; from pathlib import Path; from worker.servers import install\n"
        "os.geteuid = lambda: 0; install.POLICY = Path(sys.argv[1]); install.UNIT_FOLDER = Path(sys.argv[2])\n"
        "install.install(['postgresql'], print)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, install.POLICY, install.UNIT_FOLDER], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert install.POLICY.exists()
    assert ask_policy(machine) == (104 if own else 0)
    put_apt_get(machine)
    install.install(["postgresql"], lambda _text: None)
    assert seen(machine) == ["update: 101", "install: 101"]
    assert [path.name for path in (machine / "sbin").iterdir()] == (["policy-rc.d"] if own else [])
    assert not own or ask_policy(machine) == 104


def test_a_failed_installation_says_what_apt_said_and_restores_the_policy(machine: Path) -> None:
    install.POLICY.write_text("#!/bin/sh\nexit 0\n")
    put_command(machine, "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    with pytest.raises(ServersUnavailable, match="apt-get update -qq failed: E: Unable to locate package"):
        install.install(["postgresql"], lambda _text: None)
    assert install.POLICY.read_text() == "#!/bin/sh\nexit 0\n"
    assert stat.S_ISREG(install.POLICY.lstat().st_mode)


@pytest.fixture
def on_a_terminal() -> Iterator[None]:
    """What Ctrl-C does on a terminal; a shell starts what runs in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("on_a_terminal")
def test_ctrl_c_waits_until_apt_is_done(machine: Path) -> None:
    put_command(
        machine, "apt-get",
        f"[ $3 = update ] && exit; kill -INT $PPID; /bin/sleep 0.5; echo finished >> {machine}/seen",
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        install.install(["postgresql"], lambda _text: None)
    assert seen(machine) == ["finished"]
    assert list((machine / "sbin").iterdir()) == []

"""``make deploy-check``: everything, or the checks that are named. Exit code 1 when one finds a fault."""

import sys
from collections.abc import Callable

from deploy.checks import files
from deploy.checks.dockerfile import NotUnderstood
from deploy.checks.kubernetes import kubernetes
from deploy.checks.replay import NotSo, replay
from deploy.checks.rooms import refusal
from deploy.checks.tools import Faulty
from deploy.checks.weaknesses import bandit


def image() -> list[str]:
    """The image's own steps, one by one, and what comes of them."""
    reason = refusal()
    return [f"not run: {reason}"] if reason else replay()


CHECKS: dict[str, Callable[[], list[str]]] = {
    "dockerfile": files.dockerfile,
    "scripts": files.scripts,
    "compose": files.compose,
    "prometheus": files.prometheus,
    "kubernetes": kubernetes,
    "bandit": bandit,
    "image": image,
}


def main() -> int:
    """Run and print."""
    names = sys.argv[1:] or list(CHECKS)
    if unknown := set(names) - set(CHECKS):
        print(f"There is no check called {', '.join(sorted(unknown))}; there are: {', '.join(CHECKS)}.")
        return 2
    faulty = 0
    for name in names:
        print(name, flush=True)
        try:
            for line in CHECKS[name]():
                print(f"  {line}", flush=True)
        except (Faulty, NotSo, NotUnderstood) as exc:
            faulty += 1
            print(f"  FAULT: {exc}", flush=True)
    print(f"{faulty} of {len(names)} checks found a fault" if faulty else "all checks passed")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the jobs of a workspace while every way to the network is watched and barred.

Run as a script: ``without_network.py TABLES WORKSPACE``; prints what was tried, an empty list at best.
"""

import socket
import sys
from pathlib import Path

TRIED: list[str] = []


def _bar(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[0], socket.socket):
        if arguments[0].family == socket.AF_UNIX:
            return
    elif event not in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        return
    TRIED.append(f"{event} {arguments[1:]}")
    raise OSError(f"{event}: there is no network in this bank")


def main(tables: Path, workspace: Path) -> None:
    """Build, train, evaluate and retrain."""
    from features import build_states
    from tests.training.banks import light
    from training import evaluate, retrain, train

    build_states(tables, workspace)
    train(workspace, light())
    evaluate(workspace)
    retrain(workspace, training=light())


if __name__ == "__main__":
    sys.addaudithook(_bar)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"{TRIED}\n")

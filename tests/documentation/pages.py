"""The parts of pages that the code writes. `make docs` puts each between its two comment lines; a test compares."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.documentation import commands, contract, policy, service, settings

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "docs"

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "commands.md": {"commands": commands.written},
    "configuration.md": {"settings": settings.of_the_configuration},
    "contract.md": {"types": contract.types, "tables": contract.tables},
    "operations.md": {"metrics": service.metrics},
    "policy.md": {"reasons": policy.reasons, "settings": policy.settings},
    "service.md": {"routes": service.routes, "roles": service.roles, "problems": service.problems},
}
"""Page -> name of a part -> what writes it."""


def with_parts(page: str) -> str:
    """The text of a page with all its parts as the code writes them now."""
    text = (FOLDER / page).read_text(encoding="utf-8")
    for name, write in PARTS[page].items():
        marked = re.compile(rf"(<!-- {name}: written by `make docs` -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        places = list(marked.finditer(text))
        assert len(places) == 1, f"docs/{page} needs the two comment lines of {name!r}, once"
        text = f"{text[: places[0].end(1)]}\n{write().strip()}\n\n{text[places[0].start(2) :]}"
    return text


def main() -> None:
    """Write all parts of all pages."""
    for page in PARTS:
        (FOLDER / page).write_text(with_parts(page), encoding="utf-8")


if __name__ == "__main__":
    main()

"""`make secrets`: write .env for Docker Compose, from .env.example, with fresh secrets. Needs nothing but Python.

Never writes over an .env that is there: the database keeps the password that it was made with.
"""

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Random bytes of each; its place is empty in .env.example. Letters, digits, - and _: one becomes a part of a URL.
_LENGTHS = {"DJANGO_SECRET_KEY": 50, "POSTGRES_PASSWORD": 24, "DJANGO_SUPERUSER_PASSWORD": 12}


def filled(example: str) -> str:
    """Return the example with a fresh secret in each place; raises ValueError where a place is missing."""
    for name, length in _LENGTHS.items():
        example, found = re.subn(rf"^{name}=$", f"{name}={secrets.token_urlsafe(length)}", example, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{name} is {found} times empty in .env.example; expected once")
    return example


def main(folder: Path) -> int:
    """Write the file into `folder`, readable by its owner alone; return the exit code."""
    target = folder / ".env"
    text = filled((folder / ".env.example").read_text(encoding="utf-8"))
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(
            f"secrets: {target} stays as it is: the database was made with its password. For new secrets and an empty "
            "database: docker compose --profile '*' down -v, then remove it",
            file=sys.stderr,
        )
        return 1
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"Wrote {target}. Its DJANGO_SUPERUSER_PASSWORD is the one of `admin` at http://localhost:8080/admin/.")
    print("Next: docker compose up")
    return 0


if __name__ == "__main__":
    sys.exit(main(ROOT))

"""Search: by the beginnings of words, the same on both databases."""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from django.test import Client

from tests.support.service import Service
from userapi.users.models import User

_DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"
# More than two forms have one lower case.
_LETTERS = ["\u212a", "Å", "ß", "\u01c5", "\u1f88"]
PEOPLE = [
    ("Ada Lovelace", "ada@example.com"),
    ("Émile Zola", "zola.emile@paris.example"),
    ("O'Neil 100%", "o@b-c.example"),
    ("ΣΊΣΥΦΟΣ", "sisyphos@hades.gr"),
    (f"{_DOTLESS}stanbul", "city@istan.tr"),
    *((letter, f"{number}@letters.de") for number, letter in enumerate(_LETTERS)),
]

SEARCHES = [
    ("ada", ["Ada Lovelace"]),
    ("LOVE", ["Ada Lovelace"]),
    ("lace", []),
    ("ada love", ["Ada Lovelace"]),
    ("love ada", ["Ada Lovelace"]),
    ("ada zola", []),
    ("ada@example.com", ["Ada Lovelace"]),
    ("paris", ["Émile Zola"]),
    ("Émi", ["Émile Zola"]),
    ("σίσυφο", ["ΣΊΣΥΦΟΣ"]),
    ("σίσυφος", []),  # its last letter is another one than that of the lower case of the name
    ("ISTANBUL", []),
    (_DOTLESS, [f"{_DOTLESS}stanbul"]),
    ("\N{LATIN SMALL LETTER LONG S}is", []),
    *zip(["k", "\u212b", "\u1e9e", "\u01c4", "\u1f80"], ([letter] for letter in _LETTERS), strict=True),
    ("neil", ["O'Neil 100%"]),
    ("o'neil", ["O'Neil 100%"]),
    ("100", ["O'Neil 100%"]),
    ("%", []),
    ("_", []),
    ("':* | '", []),
    ("\\ ' :* & !", []),
    ("b-c", ["O'Neil 100%"]),
    ("example", ["Ada Lovelace", "O'Neil 100%", "Émile Zola"]),
    ("   ", sorted(name for name, _ in PEOPLE)),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "names"), SEARCHES)
def test_search_finds_beginnings_of_words(api: Client, text: str, names: list[str]) -> None:
    for name, email in PEOPLE:
        User.objects.create(name=name, email=email)
    results = api.get("/users", {"search": text}).json()["results"]
    assert sorted(row["name"] for row in results) == names


def test_search_on_postgresql_finds_the_same(empty_service: Callable[[str], Service]) -> None:
    service = empty_service("postgresql")
    for name, email in PEOPLE:
        assert service.request("POST", "/users", {"name": name, "email": email})[0] == 201
    for text, names in SEARCHES:
        results = json.loads(service.get(f"/users?{urlencode({'search': text})}")[2])["results"]
        assert sorted(row["name"] for row in results) == names, text


@pytest.mark.django_db
def test_search_too_long_is_invalid(api: Client) -> None:
    assert api.get("/users", {"search": "x" * 201}).status_code == 400


@pytest.mark.django_db
def test_no_word_of_a_search_is_ignored(api: Client) -> None:
    words = "a b c d e f g h"
    User.objects.create(name=words, email="ada@example.com")
    assert len(api.get("/users", {"search": f"{words} a b"}).json()["results"]) == 1
    refused = api.get("/users", {"search": f"{words} i"})
    assert (refused.status_code, refused.json()["errors"]) == (400, {"search": ["At most 8 words."]})


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["a" * 3000, "a b c d e f g h i"])
def test_search_for_too_much_finds_nothing(text: str) -> None:
    """The admin's search has no limit of its own, and PostgreSQL refuses too long a word."""
    User.objects.create(name="Ada B C D E F G H", email="ada@example.com")
    assert not User.objects.search(text).exists()

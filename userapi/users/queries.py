"""Finds user records by email address or by words, and changes many at once."""

import re
import uuid
from typing import TYPE_CHECKING, Any, Self

from django.db import connections, models
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from userapi.users.emails import normalize_email

if TYPE_CHECKING:
    from userapi.users.models import User  # noqa: F401  (named in a string below)

# ASCII punctuation, white space and control characters: a set that does not depend on a database's locale.
_SEPARATORS = r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+"

MAX_WORDS = 8
# Capitals that are not those of their lower case, such as the sign of Kelvin.
_MORE_CAPITALS = "\u0130\u03f4\u1e9e\u2126\u212a\u212b"
# No name or email is longer; PostgreSQL refuses words of over 2 KB.
_LONGEST_WORD = 254

# Exactly the expression of the index in migration 0002, or PostgreSQL does not use the index.
# array_to_tsvector takes each word unchanged; to_tsvector's parser would keep an email address as one token.
SEARCH_VECTOR = (
    "array_to_tsvector(array_remove(regexp_split_to_array(lower(name || ' ' || email), "
    r"'[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+'), ''))"
)


def words_of(text: str) -> list[str]:
    """Return the distinct words of `text`."""
    return list(dict.fromkeys(word for word in re.split(_SEPARATORS, text) if word))


class UserQuerySet(models.QuerySet["User"]):
    """User records; `search` uses an index on PostgreSQL and reads the table on SQLite."""

    def update(self, **kwargs: Any) -> int:
        """Change all of these records, including their versions."""
        return super().update(**{"version": uuid.uuid4(), **kwargs})

    def with_email(self, email: str) -> Self:
        """Keep the record with this address in any case, found by the unique index."""
        if "\0" in email:  # which PostgreSQL refuses
            return self.none()
        wanted = Lower(models.Value(normalize_email(email)))
        return self.alias(caseless_email=Lower("email")).filter(caseless_email=wanted)

    def search(self, text: str) -> Self:
        """Keep the records where each word of `text` is a prefix, in any case, of a word in the name or the email.

        More than MAX_WORDS find none.
        """
        words = words_of(text)
        if not 1 <= len(words) <= MAX_WORDS or max(map(len, words)) > _LONGEST_WORD:
            return self.none()
        if connections[self.db].vendor == "postgresql":
            query = " & ".join(f"'{word}':*" for word in words)
            matches = RawSQL(f"{SEARCH_VECTOR} @@ lower(%s)::tsquery", [query], models.BooleanField())  # noqa: S611
            return self.filter(matches)
        found = self
        for word in words:
            pattern = rf"(?:^|{_SEPARATORS}){''.join(map(_in_any_case, word))}"
            found = found.filter(models.Q(name__regex=pattern) | models.Q(email__regex=pattern))
        return found


def _lower(character: str) -> str:
    # In Python, one letter (U+0130) becomes two; in PostgreSQL's locales of the C library, none does.
    return character.lower()[0]


def _in_any_case(character: str) -> str:
    """Return a pattern of characters with the same lower case, as PostgreSQL compares; IGNORECASE matches more."""
    lower = _lower(character)
    others = (lower, lower.upper(), lower.title(), *_MORE_CAPITALS)
    forms = {character, *(form for form in others if len(form) == 1 and _lower(form) == lower)}
    return f"(?:{'|'.join(map(re.escape, sorted(forms)))})"

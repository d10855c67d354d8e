"""The API of user records."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Lower
from django.http.response import HttpResponseBase
from rest_framework.generics import ListCreateAPIView, RetrieveUpdateDestroyAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from userapi import preconditions
from userapi.pagination import KeysetPagination
from userapi.preconditions import entity_tag
from userapi.users.conflicts import email_conflict
from userapi.users.filters import EmailFilter, UserSearch
from userapi.users.models import User
from userapi.users.serializers import UserSerializer
from userapi.views import StrictView


def etag_of(user: User) -> str:
    """Return the strong entity tag of a record's JSON."""
    return entity_tag(str(user.id), str(user.version))


class UserList(StrictView, ListCreateAPIView[User]):
    """All user records, page by page."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    filter_backends = (UserSearch, EmailFilter)
    pagination_class = KeysetPagination
    conflicts = True
    default_ordering = "-created_at"
    # Each is unique as a whole and has an index, as Keyset requires.
    orderings: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "created_at": (F("created_at"), F("id")),
        "id": (F("id"),),
        "name": (Lower("name"), F("id")),
        "email": (Lower("email"),),
    }

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        del args, kwargs
        users = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        # The records and the links determine the page.
        etag = entity_tag(*self.paginator.links(), *map(etag_of, users))  # type: ignore[union-attr]
        return preconditions.read(
            request, etag, lambda: self.get_paginated_response(self.get_serializer(users, many=True).data)
        )

    def create(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with email_conflict(), transaction.atomic():
            user = serializer.save()
        location = reverse("user", kwargs={"id": user.id}, request=request)
        return Response(serializer.data, status=201, headers={"Location": location, "ETag": etag_of(user)})


class UserDetail(StrictView, RetrieveUpdateDestroyAPIView[User]):
    """One user record."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    lookup_field = "id"
    conflicts = True

    def get_queryset(self) -> QuerySet[User]:
        # Locked, as saving a record that was deleted meanwhile would recreate it, and a precondition might no longer
        # hold when the record is saved.
        queryset = super().get_queryset()
        return queryset.select_for_update() if transaction.get_connection().in_atomic_block else queryset

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        del args, kwargs
        user = self.get_object()
        return preconditions.read(request, etag_of(user), lambda: Response(self.get_serializer(user).data))

    def update(self, request: Request, *_args: Any, partial: bool = False, **_kwargs: Any) -> Response:
        data = request.data  # read before the lock is taken: a slow client must not hold it
        with email_conflict(), transaction.atomic():
            user = self.get_object()
            preconditions.matches(request, etag_of(user))
            serializer = self.get_serializer(user, data=data, partial=partial)
            serializer.is_valid(raise_exception=True)
            serializer.save()
        return Response(serializer.data, headers={"ETag": etag_of(user)})

    def destroy(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        with transaction.atomic():
            user = self.get_object()
            preconditions.matches(request, etag_of(user))
            user.delete()
        return Response(status=204)

"""The API of user records."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Lower
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListCreateAPIView, RetrieveUpdateDestroyAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from userapi.pagination import KeysetPagination
from userapi.users.conflicts import email_conflict
from userapi.users.filters import UserSearch
from userapi.users.models import User
from userapi.users.serializers import UserSerializer


@extend_schema_view(
    get=extend_schema(summary="List users", operation_id="list_users"),
    post=extend_schema(summary="Create a user", operation_id="create_user", description="One new record."),
)
class UserList(ListCreateAPIView[User]):
    """All user records, page by page."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    filter_backends = (UserSearch,)
    pagination_class = KeysetPagination
    conflicts = True
    default_ordering = "-created_at"
    # Each is unique as a whole and has an index: Keyset's condition.
    orderings: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "created_at": (F("created_at"), F("id")),
        "id": (F("id"),),
        "name": (Lower("name"), F("id")),
        "email": (Lower("email"),),
    }

    def create(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with email_conflict(), transaction.atomic():
            user = serializer.save()
        location = reverse("user", kwargs={"id": user.id}, request=request)
        return Response(serializer.data, status=201, headers={"Location": location})


@extend_schema_view(
    get=extend_schema(summary="Read a user", operation_id="read_user"),
    put=extend_schema(summary="Replace a user", operation_id="replace_user"),
    patch=extend_schema(summary="Change a user", operation_id="change_user"),
    delete=extend_schema(summary="Delete a user", operation_id="delete_user"),
)
class UserDetail(RetrieveUpdateDestroyAPIView[User]):
    """One user record."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    lookup_field = "id"
    conflicts = True

    def get_queryset(self) -> QuerySet[User]:
        # Locked, or saving a record that was deleted meanwhile would bring it back.
        queryset = super().get_queryset()
        return queryset.select_for_update() if transaction.get_connection().in_atomic_block else queryset

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        _ = request.data  # read before the lock is taken: a slow client must not hold it
        with email_conflict(), transaction.atomic():
            return super().update(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with transaction.atomic():
            return super().destroy(request, *args, **kwargs)

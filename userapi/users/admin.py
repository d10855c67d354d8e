from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from userapi.users.models import User

if TYPE_CHECKING:
    UserModelAdmin = admin.ModelAdmin[User]
else:  # Django's own class takes no parameter
    UserModelAdmin = admin.ModelAdmin


@admin.register(User)
class UserAdmin(UserModelAdmin):
    """User records; the search is the API's, so that it uses the same index."""

    list_display = ("name", "email", "created_at", "updated_at")
    list_filter = ("created_at", "updated_at")
    search_fields = ("name", "email")
    search_help_text = "Beginnings of words of the name or the email"
    ordering = ("-created_at", "-id")
    fields = ("id", "name", "email", "created_at", "updated_at")
    readonly_fields = ("id", "created_at", "updated_at")
    list_per_page = 50
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        del request
        found = User.objects.search(search_term).values("id") if search_term else None
        return (queryset if found is None else queryset.filter(id__in=found)), False

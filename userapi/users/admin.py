from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Field, QuerySet
from django.forms import Field as FormField
from django.forms import ModelForm
from django.http import HttpRequest

from userapi.users.models import User

if TYPE_CHECKING:
    UserModelAdmin = admin.ModelAdmin[User]
    UserModelForm = ModelForm[User]
else:  # Django's own classes take no parameter
    UserModelAdmin = admin.ModelAdmin
    UserModelForm = ModelForm


class UserForm(UserModelForm):
    """Leaves fields that were not changed in it as they are in the record, which may have been changed meanwhile."""

    def clean(self) -> dict[str, Any] | None:
        if self.instance.created_at:  # else it is a new record
            for name in self.cleaned_data.keys() - set(self.changed_data):
                self.cleaned_data[name] = getattr(self.instance, name)
        return super().clean()


@admin.register(User)
class UserAdmin(UserModelAdmin):
    """User records; the search is the API's, so that it uses the same index."""

    form = UserForm
    list_display = ("name", "email", "created_at", "updated_at")
    list_filter = ("created_at", "updated_at")
    search_fields = ("name", "email")
    search_help_text = "Beginnings of words of the name or the email"
    ordering = ("-created_at", "-id")
    fields = ("id", "name", "email", "created_at", "updated_at")
    readonly_fields = ("id", "created_at", "updated_at")
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        # Locked, as in the API.
        queryset = super().get_queryset(request)
        changes = request.method == "POST" and transaction.get_connection().in_atomic_block
        return queryset.select_for_update() if changes else queryset

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> FormField | None:
        return super().formfield_for_dbfield(db_field, request, show_hidden_initial=True, **kwargs)

    def save_model(self, request: HttpRequest, obj: User, form: "ModelForm[User]", change: bool) -> None:
        if not change or form.changed_data:
            super().save_model(request, obj, form, change)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        del request
        found = User.objects.search(search_term).values("id") if search_term else None
        return (queryset if found is None else queryset.filter(id__in=found)), False

"""All URLs of the service. Routes are plain templates, as they become `http.route` in the telemetry."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path, register_converter
from django.views.generic import RedirectView

from telemetry.views import metrics
from userapi import documents, health, home
from userapi.accounts.views import RevokeTokenView, TokenView
from userapi.converters import CaselessUUIDConverter
from userapi.greetings.views import GreetingView
from userapi.users.views import UserDetail, UserList

register_converter(CaselessUUIDConverter, "caseless_uuid")

# The namespace that the browsable API expects.
_sessions = [
    path("login", LoginView.as_view(template_name="rest_framework/login.html", next_page="users"), name="login"),
    path("logout", LogoutView.as_view(next_page="users"), name="logout"),
]

_greetings = (
    [path("users/<caseless_uuid:id>/greeting", GreetingView.as_view(), name="greeting")] if settings.GREETER_URL else []
)

urlpatterns = [
    path("", home.index, name="home"),
    path("users", UserList.as_view(), name="users"),
    path("users/<caseless_uuid:id>", UserDetail.as_view(), name="user"),
    *_greetings,
    path("auth/token", TokenView.as_view(), name="token"),
    path("auth/logout", RevokeTokenView.as_view(), name="logout"),
    path("session/", include((_sessions, "rest_framework"))),
    path("schema", documents.schema, name="schema"),
    path("docs", documents.docs, name="docs"),
    # ProbeMiddleware answers these; they are listed here so that the paths exist.
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]

handler400 = "userapi.problems.bad_request"
handler403 = "userapi.problems.permission_denied"
handler404 = "userapi.problems.page_not_found"
handler500 = "userapi.problems.server_error"

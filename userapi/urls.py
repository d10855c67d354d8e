"""Every address of the service. Routes are plain templates: they become `http.route` in the telemetry."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from telemetry.views import metrics
from userapi import home
from userapi.accounts.views import LogoutView, TokenView
from userapi.users.views import UserDetail, UserList

urlpatterns = [
    path("", home.index, name="home"),
    path("users", UserList.as_view(), name="users"),
    path("users/<uuid:id>", UserDetail.as_view(), name="user"),
    path("auth/token", TokenView.as_view(), name="token"),
    path("auth/logout", LogoutView.as_view(), name="logout"),
    path("schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path(
        "docs", SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get", "head"]), name="docs"
    ),
    path("metrics", metrics, name="metrics"),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
]

handler400 = "userapi.problems.bad_request"
handler403 = "userapi.problems.permission_denied"
handler404 = "userapi.problems.page_not_found"
handler500 = "userapi.problems.server_error"

"""How the OpenAPI document describes greetings."""

from drf_spectacular.utils import OpenApiResponse, extend_schema

from userapi.schema import describe

describe(
    "userapi.greetings.views.GreetingView",
    get=extend_schema(summary="Greet a user", operation_id="greet_user"),
    post=extend_schema(
        summary="Have a user greeted",
        operation_id="queue_greeting",
        request=None,
        responses={202: OpenApiResponse(description="A worker will deliver it.")},
    ),
)

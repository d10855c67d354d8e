"""The API of greetings: one at once, and one that a worker delivers."""

from typing import Any

from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from userapi.greetings import client, tasks
from userapi.problems import ServiceUnavailable
from userapi.users.models import User
from userapi.views import StrictView


class GreetingSerializer(serializers.Serializer[Any]):
    """What to say to a user."""

    greeting = serializers.CharField()


class GreetingView(StrictView, GenericAPIView[User]):
    """The greeting of one user."""

    queryset = User.objects.all()
    serializer_class = GreetingSerializer
    lookup_field = "id"
    methods_with_body = ()

    def get(self, _request: Request, **_kwargs: Any) -> Response:
        """Ask the greeter while the client waits."""
        user = self.get_object()
        try:
            text = client.greeting()
        except client.GreeterError as error:
            raise ServiceUnavailable("The greeter does not answer; try again.") from error
        return Response({"greeting": f"{text}, {user.name}!"})

    def post(self, _request: Request, **_kwargs: Any) -> Response:
        """Leave it to a worker."""
        tasks.enqueue(self.get_object().id)
        return Response(status=202)

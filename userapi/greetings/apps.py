from django.apps import AppConfig


class GreetingsConfig(AppConfig):
    name = "userapi.greetings"
    label = "greetings"

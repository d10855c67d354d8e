from django.apps import AppConfig


class UserApiConfig(AppConfig):
    name = "userapi"
    verbose_name = "User API"

    def ready(self) -> None:
        from userapi import checks, forks, requests  # noqa: F401  (importing `checks` registers them)

        requests.install()
        forks.install()

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "userapi.users"
    label = "users"
    verbose_name = "User records"

    def ready(self) -> None:
        from userapi.users import metrics
        from userapi.users.models import User

        metrics.connect(User)

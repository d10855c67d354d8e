from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "userapi.accounts"
    label = "accounts"

    def ready(self) -> None:
        from userapi.accounts import tokens

        tokens.connect()

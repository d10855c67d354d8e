from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "userapi.accounts"
    label = "accounts"

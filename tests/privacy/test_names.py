"""A name of a secret hides its value as an attribute and in every text, a name of something else never."""

import json

import pytest

from telemetry.privacy import Redactor
from telemetry.privacy.names import is_secret

MARK = "zq1canary"
REDACTOR = Redactor()

SECRETS = """
password password1 PASSWORD new_password newPassword password_confirmation passwords passwd passcode passphrase
passwort user_pwd dbPwd pwd pass user_pass userpass dbpass PGPASSWORD pw bind_pw pswd secret client_secret SECRET_KEY
token jwt access_token refreshToken X-Auth-Token id_token2 csrf csrfmiddlewaretoken xsrf_token sessionid session.id
session_key sess JSESSIONID PHPSESSID sid connect.sid apikey api_key apiKey x-api-key api.key access_key
aws_access_key_id aws_secret_access_key private_key privateKey signing_key encryption_key encryptionKey auth_key
authKey master_key AccountKey account_key consumer_key ssh_key SharedAccessKey otp otp_code otpCode mfa mfa_code
mfaToken totp pin pin_code pinCode userPin user_pin user.pin PIN two_factor_code verification_code reset_code
recovery_code authCode ssn user_ssn userSsn ssn_number social_security_number socialSecurityNumber iban customer_iban
user.iban ibanNumber cvv card_cvv cvc cvv2 cvcCode card_number cardNumber card-number card_no cardnum card_num
creditcard credit_card creditCardNumber signature credentials cookie authorization Set-Cookie HTTP_COOKIE bearer
code_verifier x-auth auth_header cc_number ccnum cc-num
"""
OTHERS = """
ping spinner spinning passenger passed bypass compass surpassed author authority authors assign keyboard monkey hotkey
primary_key foreign_key sort_key cache_key public_key partition_key key status_code zip_code code country_code
postcode card cards discard scorecard business_card inside reside aside option mapping shopping_cart expanding opinion
Pinned class side http.request.method http.route http.response.status_code url.scheme server.port db.system.name
db.operation.name code.function.name error.type exception.type network.protocol.version telemetry.sdk.name
tokenizer tokenized secretary secretariat SESSION_ENGINE session_serializer
messaging.rabbitmq.destination.routing_key feature_flag.key gen_ai.request.model gen_ai.token.type
"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_name_of_a_secret(name: str) -> None:
    assert is_secret(name)
    assert REDACTOR.attributes({name: MARK}) == {name: "***"}
    assert REDACTOR.attributes({f"request.{name}": 123456789}) == {f"request.{name}": "***"}
    for text in (
        f"{name}={MARK}",
        f"x {name}: {MARK}",
        f"{name:24} = {MARK}",
        f"{name}=f(a, '{MARK}')",
        json.dumps({"a": 1, name: MARK}),
        json.dumps({"name": name, "value": MARK}),
        json.dumps([{"errors": [{"type": "x", "loc": ["body", name], "msg": "too short", "input": MARK}]}]),
        str({"loc": ("body", name), "input": MARK}),
        json.dumps(json.dumps({"key": name, "value": MARK})),
        f'<input name="{name}" type="text" value="{MARK}">',
        f"name={name} value={MARK}",
        f"Field(version=0, name='{name}', value='{MARK}', port=None)",
        f"Field(name='{name}', required=True, value='{MARK}')",
        json.dumps({"value": f'a"{MARK}', "type": "text", "name": name}),
        f'<input value="{MARK}" name="{name}">',
        f'<meta name="{name}" content="{MARK}">',
        f"<name>{name}</name>\n<value>{MARK}</value>",
        f"<key>{name}</key><string>{MARK}</string>",
    ):
        assert MARK not in REDACTOR.text(text), text
    for value in (
        {"name": name, "value": MARK},
        {"Name": name, "Value": MARK},
        {"field": name, "input": [MARK]},
        {"loc": ("body", name), "msg": "x", "input": MARK},
        ["run", f"--{name}", MARK],
        [("a", 1), (name, MARK)],
    ):
        assert MARK not in str(REDACTOR.attributes({"a": value})), value


@pytest.mark.parametrize("name", OTHERS.split())
def test_name_of_something_else(name: str) -> None:
    assert REDACTOR.attributes({name: "x"}) == {name: "x"}
    for text in (
        *(f"{name}=x", f"{name}: x", json.dumps({name: "x"})),
        *(json.dumps({"name": name, "value": "x"}), json.dumps({"value": "x", "name": name})),
    ):
        assert REDACTOR.text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=1024",
        "tokens=17 prompt_tokens: 512",
        "sessions: 12 open",
        "session count=3",
        "skipped=3, pass=10, fail=0",
        "password_length: 8",
        "password_validators=4 token_expires_in: 3600 secret_version: 3",
        "session_cookie_age=1209600",
        "password=None, token=null, csrf: false",
    ],
)
def test_number_of_secrets_is_none(text: str) -> None:
    assert REDACTOR.text(text) == text


@pytest.mark.parametrize("name", ["pin_version", "otp_version", "passwordversion", "password"])
def test_number_that_is_no_version(name: str) -> None:
    assert REDACTOR.text(f"{name}=123") == f"{name}=***"
    assert REDACTOR.text("secret_version=1234") == "secret_version=***"


@pytest.mark.parametrize("value", ["'!!'", "'#'", "'§$%'"])
def test_secret_of_punctuation(value: str) -> None:
    for name in ("password", "pin", "tokens"):
        assert REDACTOR.text(f"{name}={value}") == f"{name}=***"


def test_number_of_secrets_as_an_attribute() -> None:
    attributes = {"gen_ai.usage.input_tokens": 512, "session.count": 3, "pass": 10}
    assert REDACTOR.attributes(attributes) == attributes
    versions = {"pin_version": 1, "otp_version": 2, "password_version": 123456, "passwordversion": 123}
    assert set(REDACTOR.attributes(versions).values()) == {"***"}
    hidden = {"pin": 4711, "otp": 123456, "tokens": 12345678901, "passcode": 3, "pass": 471100}
    assert set(REDACTOR.attributes(hidden).values()) == {"***"}


def test_header_in_a_list() -> None:
    redacted = REDACTOR.attributes({"a": ["Authorization", "Bearer", MARK, "x"], "b": ["x", "password", MARK, "y"]})
    assert redacted == {"a": ["Authorization", "***", "***", "x"], "b": ["x", "password", "***", "y"]}

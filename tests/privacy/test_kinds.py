"""Whole kinds of secrets: every name in every notation, every encoding of an email, tokens of every alphabet."""

import base64
import gc
import html
import json
import random
import secrets
import string
from collections.abc import Callable, Iterator
from time import thread_time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.privacy import Redactor
from telemetry.privacy.names import BEGINNINGS, is_secret
from telemetry.privacy.rules import RULES
from telemetry.privacy.sql import without_literals
from tests.support.speed import is_within

MARK = "zq1canary"
MANY = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)

NAMES = st.sampled_from(
    [
        *("password", "password1", "password_confirmation", "new_password", "newPassword", "PASSWORD", "passwords"),
        *("token", "access_token", "refreshToken", "authenticity_token", "X-Auth-Token", "tokenValue", "id_token2"),
        *("secret", "client_secret", "DJANGO_SECRET_KEY", "api_key", "apiKey", "x-api-key", "private_key"),
        *("sessionid", "session_key", "csrfmiddlewaretoken", "Cookie", "HTTP_COOKIE", "Set-Cookie", "Authorization"),
        *("credentials", "otp", "pin", "ssn", "card_number", "pwd", "passphrase"),
    ]
)
# What a value has beside the mark: blanks, quotes, brackets and separators, as a passphrase may have them.
WORDS = st.text(alphabet="ab1 '\"[]{}(),;:=<>&%?\\/-_.é€", max_size=8)
VALUES = st.builds(lambda before, after: f"{before}{MARK}{after}", WORDS, WORDS)

NOTATIONS: dict[str, Callable[[str, str], str]] = {
    "JSON": lambda name, value: json.dumps({"a": 1, name: value, "b": "c"}),
    "JSON of a list": lambda name, value: json.dumps({name: ["x", value], "b": "c"}),
    "JSON of an object": lambda name, value: json.dumps({name: {"raw": value}, "b": "c"}, indent=2),
    "JSON in JSON": lambda name, value: json.dumps({"body": json.dumps({name: value, "b": "c"})}),
    "JSON in JSON in JSON": lambda name, value: json.dumps([json.dumps({"body": json.dumps({name: [value]})})]),
    "dictionary": lambda name, value: repr({"a": 1, name: value, "b": "c"}),
    "dictionary of lists": lambda name, value: repr({name: ["x", value], "b": ("c",)}),
    "dictionary of bytes": lambda name, value: repr({name.encode(): value.encode()}),
    "JSON in a dictionary": lambda name, value: repr({"body": json.dumps({name: value})}),
    "pair": lambda name, value: repr([("Host", "x"), (name, value)]),
    "pair of bytes": lambda name, value: repr([(b"host", b"x"), (name.encode(), value.encode())]),
    "list of pairs in JSON": lambda name, value: json.dumps([["Host", "x"], [name, value]]),
    "form": lambda name, value: urlencode({"a": "1", name: value, "b": "c"}),
    "form in a form": lambda name, value: urlencode({"next": urlencode({name: value})}),
    "JSON in a URL": lambda name, value: quote(json.dumps({name: value}), safe=""),
    "JSON in a URL, twice": lambda name, value: quote(quote(json.dumps({name: value}), safe=""), safe=""),
    "JSON in HTML": lambda name, value: html.escape(json.dumps({name: value})),
    "dictionary in HTML": lambda name, value: html.escape(repr({name: value})),
    "JSON in a text": lambda name, value: repr(json.dumps({name: value, "b": "c"})),
    "XML": lambda name, value: f"<{name}>{html.escape(value, quote=False)}</{name}>",
    "XML in HTML": lambda name, value: html.escape(f"<{name}>{html.escape(value)}</{name}>"),
    "XML in a URL": lambda name, value: quote(f"<{name}>{html.escape(value)}</{name}>", safe=""),
    "XML in JSON": lambda name, value: (
        json.dumps(f"<{name}>{html.escape(value, quote=False)}</{name}>")
        .replace("<", "\\u003c")
        .replace(">", "\\u003E")
    ),
    "multipart": lambda name, value: f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--x',
}


@MANY
@given(name=NAMES, value=VALUES, notation=st.sampled_from(sorted(NOTATIONS)))
def test_named_secret(name: str, value: str, notation: str) -> None:
    text = NOTATIONS[notation](name, value)
    redacted = Redactor().text(f"got {text} from a client")
    assert MARK not in redacted, (notation, text)
    assert redacted.startswith("got ")


@pytest.mark.parametrize(
    "text",
    [
        f"password: correct horse {MARK}",
        f"--password {MARK}1",
        f"DB_PASSWORD={MARK} DB_HOST=db",
        f"User(name='x', password='{MARK}')",
        f"-----BEGIN RSA PRIVATE KEY-----\n{MARK}\n-----END RSA PRIVATE KEY-----",
        f"{{\\u0022password\\u0022:\\u0022a {MARK}\\u0022}}",
        f"signature={MARK}",
        f"API key: {MARK}",
        f"Secret Key: {MARK}",
        f"Social Security Number: {MARK}",
        f"PIN code: {MARK}",
        f"password is: {MARK}",
        f"DB_PASSWORD            = {MARK}",
        f"password:\n\n\n\n\n  {MARK}",
        f"password=\\\n{MARK}",
        f"password: |\n  first\n  {MARK}\nhost: x",
        f"password: >-\n  {MARK}",
        f"Authorization: Bearer\r\n {MARK}",
        f"Cookie: a=b;\n\tc={MARK}",
        f'<password type="x">{MARK}</password>',
        f'<password type="x"><![CDATA[<{MARK}>]]></password>',
        f'<input type="hidden" name="password" value="{MARK}">',
        f'<input value="{MARK}" title="a b c" autofocus="" name="password">',
        f"value='a' type=b value='{MARK}' name='password'",
        f"auth=('me', '{MARK}')",
        f"requests.get(url, auth=HTTPBasicAuth('me', '{MARK}'))",
        f"session.auth = HTTPDigestAuth('me', '{MARK}')",
        f"password=OrderedDict([('a', 1), ('b', '{MARK}')])",
        f"password=f(x)('a', '{MARK}')",
        f"Bearer%20{MARK}",
        f"Bearer  '{MARK}'",
        f"curl -u me:{MARK} http://x",
        f"curl --user 'me:{MARK}' http://x",
        f'{{"pass\\u0077ord": "{MARK}"}}',
        f"p%61ssword={MARK}",
        f"%2570assword={MARK}",
        f"pass&#119;ord={MARK}",
        f"%22name%22%3A%22password%22%2C%20%22value%22%3A%22{MARK}%22",
        f"https://hooks.slack.com/services/T000/B000/{MARK}",
        f'{{"secrets.github": "{MARK}"}}',
        f'{{"secrets.github.com": ["a {MARK}"]}}',
        f"passwords.alice={MARK}",
        f"password[0]={MARK}",
        f"password%5B0%5D={MARK}",
        f'tokens["alice"] = "{MARK}"',
        f"password_of_the_integration_user_for_the_payment_provider={MARK}",
        f"api_keys:\n  - {MARK}\n  - b",
        f"passwords:\n  - a\n  - {MARK}\nhost: x",
        f"passwords:\n- a\n- {MARK}\nhost: x",
        f"a:\n  passwords:\n    alice: x\n    bob: {MARK}",
        f'Digest username="{MARK}", realm="r", nonce="n"',
        f'Digest realm="r", username="a", response="{MARK}"',
        f'password="a b \\\n{MARK}',
        f"https://h/users??search={MARK}",
        f"https://h/users???{MARK}",
        f"next: ?search={MARK}",
        f"/find?'search={MARK}'",
        f"if password != '{MARK}':",
        f"password <> '{MARK}' AND",
        f"password:   # a comment\n  {MARK}",
        f"password: #{MARK}\nuser: x",
        f"password: &anchor {MARK}",
        f"password: &anchor\n  {MARK}",
        *(f"{name}={MARK}" for name in ("tokenization_key", "tokenized_card", "tokenIsEncrypted", "tokenizer-key")),
        *(
            f"{before}pin{after}{MARK}"
            for before, after in (("user%5B", "%5D="), ("a%0A", "%3D"), ("\\u003c", "\\u003e"))
        ),
        *(f"{before}pin={MARK}" for before in ("a\\n", "a\\\\t", "\\x0a", "C:\\")),
        *(f"PASSWORD {operator} {MARK}" for operator in ("+=", "?=", "||=", "??=", "|=")),
        f"<credentials><user>x</user><value>{MARK}</value></credentials>",
        f'<x:Password type="x">\n  <v>{MARK}</v>\n</x:Password>',
        f"password: !!str |\n  {MARK}\nhost: x",
        f"password: &anchor >-\n  {MARK}\nhost: x",
        f"password=first\\\n  {MARK}",
        f'password=<Secret "a {MARK}">',
        f"CREATE USER a IDENTIFIED BY {MARK};",
        f'grant connect to a identified by "{MARK}"',
        f"\x1b[36mpassword\x1b[0m=\x1b[1;35m{MARK}\x1b[0m",
    ],
)
def test_named_secret_elsewhere(text: str) -> None:
    assert MARK not in Redactor().text(text)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("mysql --user root --password swordfish db", "swordfish"),
        ("openssl -passphrase 'a swordfish' -in x", "swordfish"),
        ('["mysql", "--password", "swordfish"]', "swordfish"),
        ("Card number: 4111 1111 1111 1111", "1111"),
        ("card_number=4111 111111 11111", "1111"),
        ("SSN: 078 05 1120", "1120"),
        ('args "--password swordfish"', "swordfish"),
        ("otp: 123 456", "456"),
        ("IBAN: DE89 3704 0044 0532 0130 00", "0532"),
        ("iban=CH93 0076 2011 6238 5295 7", "5295"),
    ],
)
def test_named_secret_of_plain_words(text: str, rest: str) -> None:
    """Nothing but the name says that it is one."""
    assert rest not in Redactor().text(f"run {text}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'query_string': b'a=swordfish&b=1', 'path': '/'}", "{'query_string': ***, 'path': '/'}"),
        ("QUERY_STRING=a=swordfish&b=1 PATH=/", "QUERY_STRING=*** PATH=/"),
        ('{"rawQueryString": "a=swordfish"}', '{"rawQueryString": ***}'),
        ('{"queryStringParameters": {"a": "swordfish"}}', '{"queryStringParameters": ***}'),
        ("{'query_string': b'', 'path': '/'}", "{'query_string': b'', 'path': '/'}"),
        ("the query string is empty", "the query string is empty"),
    ],
)
def test_query_string_by_its_name(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


def test_number_that_is_whole_hides_nothing_behind_it() -> None:
    assert Redactor().text("credit_card=4111111111111111 200 1532 12ms") == "credit_card=*** 200 1532 12ms"
    assert Redactor().text("token: AB12 GET POST ok") == "token: *** GET POST ok"


def test_comment_of_yaml_hides_no_other_key() -> None:
    text = "tokens: # counts\n  prompt: 5\n  completion: 6"
    assert Redactor().text(text) == text.replace("# counts", "***")


def test_list_below_a_name_ends_with_its_indentation() -> None:
    assert Redactor().text("backup_codes:\n  a: 12345678\n  b: 87654321") == "backup_codes:\n  ***"
    assert Redactor().text("passwords:\n  anna: 1234\n  bob: 5678\nx: 1") == "passwords:\n  ***\nx: 1"
    text = "a:\n  tokens:\n  - x\n  - y\n  host: db\nb: 1"
    assert Redactor().text(text) == "a:\n  tokens:\n  ***\n  host: db\nb: 1"
    text = "\n- name: x\n  passwords:\n    x: a\n    y: b\n  size: 3\n- name: y\n  size: 4"
    assert Redactor().text(text) == ("\n- name: x\n  passwords:\n    ***\n  size: 3\n- name: y\n  size: 4")


@pytest.mark.parametrize(
    "text",
    [
        "passed: 3, inside: x, spinning: y",
        "InvalidTokenError: the signature has expired",
        "the session ended",
        '  File "/srv/app/tokens.py", line 3, in read_token',
        "password is required",
        "by user request",
        "for user management",
        "of user accounts",
        "user lookup failed: timeout",
        "user creation failed",
        "login failed for unknown reasons",
        "Basic health checks",
        "basic usage: run it",
        "digest mismatch for package",
        "digest sha256 computed",
        "token is expired-or-invalid",
        "session is read-only",
        "session key-value store",
        "npm install react@18.2.0",
        "python -u manage.py",
        "password:\n",
        "if session.status == 'open': session.duration=12.5 token.expires_at=2026",
        '{"session.engine": "redis", "cookie.samesite": "Lax"}',
        "sshd-session[812]: Connection closed by 10.0.0.5",
        "tokens[5]: unexpected end",
        "run --max-tokens 4096 --session-timeout 30 --password-min-length 12",
        "Using --password via the command line is insecure",
        "psql --no-password shop",
        "run --no-session\nTraceback (most recent call last):",
        "sent digest: sent=118, failed=2, skipped=0",
        "--password given twice, --password not given, -token expired, -password reset sent",
        "tokens:\n  prompt: 12\n  completion: 30",
        "last_login=2026-01-01 is_staff=True is_admin: yes max_users=3 <user><name>x</name></user>",
        "why?? not=that (see ?) 'is it?'",
        "Unexpected token: '}' at line 3",
        "SESSION_ENGINE=django.contrib.sessions.backends.db",
        "tokenizer: cl100k_base, secretary: Jane",
        "Process 12: heartbeat ok, 5 jobs done",
        "SELECT a.id FROM a JOIN b ON a.token <> b.token WHERE a.x = b.y\nFile x.py line 5\nValueError: boom",
        "update_fields=['last_login', 'updated_at'], ['is_staff', 'is_active'], ('auth_user', 'auth_group')",
        '"last_login", "2026-07-14", relation auth_user "x", is_admin \'yes\', ["user", "id", "x"]',
        "is_user=True per_user=100/min users_user: 12 rows, auth_user: 3 rows copied, max_user=5, multi_user: true.",
        "test_user: passed, Applying users_user: OK, new_user=None, shop_user=1234567 shop_user = %s, shop_user=$1",
        "{'username': ['A user with that username already exists.'], 'user': ['Required.']}",
        "{'role': [ErrorDetail(string='\"***\" is not a valid choice.', code='invalid_choice')]}",
        "user=[1,2] role: [admin, user] user: ['alice', 2]",
        "GET ^users/(?P<username>[^/.]+)/posts/$",
        "1 pattern(s) tried: ['users/(?P<username>[^/]+)/</\\Z']",
        "usage: manage.py changepassword [-h] [--database DB] <username> [--verbosity {0,1,2,3}]",
        "QuerySet<User> has 5 rows, Promise<User> rejected: timeout, <account> not found",
        "[generated in 0.2s] by nginx, [no key found] continuing with defaults",
        "tokenizing=1, tokenised: x, tokenizers: y",
        "session: &session\n  engine: db\nsession: &s\n  <<: *base\nsession: &s\nnext line",
        "password <> '', token != '', password != \"\"",
        "create records identified by their ids, &lt;token/&gt; <token/> <token><start>",
    ],
)
def test_named_secret_harmless(text: str) -> None:
    assert Redactor().text(text) == text


def test_named_secret_leaves_the_rest_of_a_stack_trace() -> None:
    """A source line may open a bracket or a quote that it does not close."""
    for line in ("token = make(", "token = [", 'token = """', "credentials = {"):
        stack = f'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    {line}\n'
        stack += '  File "y.py", line 2, in g\n    return 1 / 0\nZeroDivisionError: division by zero\n'
        redacted = Redactor().stack(stack)
        assert 'File "y.py", line 2, in g' in redacted
        assert redacted.endswith("ZeroDivisionError: division by zero\n")


def test_errors_of_pydantic_keep_the_fields() -> None:
    head = "2 validation errors for Login\npassword\n  String should have at least 12 characters "
    text = (
        f"{head}[type=string_too_short, input_value='{MARK}', input_type=str]\nname\n  Input should be a valid string "
        f"[type=string_type, input_value={{'a': ', input_type={MARK}'}}, input_type=dict]\n    For further information"
    )
    assert Redactor().text(text) == (
        f"{head}[type=string_too_short, input_value=***, input_type=str]\nname\n  Input should be a valid string "
        "[type=string_type, input_value=***, input_type=dict]\n    For further information"
    )
    assert MARK not in Redactor().text(f"input_value='a {MARK}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "username", "value": "alice"}', '{"name": "username", "value": ***}'),
        ("name='username', value='alice'", "name='username', value=***"),
        ("('username', 'alice')", "('username', ***)"),
        ('[\n  ["username", "alice"],\n  ["user", "bob",]', '[\n  ["username", ***],\n  ["user", ***,]'),
        ("[(b'db_user', b'alice'), ('username', 'bob", "[(b'db_user', ***), ('username', ***"),
        ("['psql', '--username', 'alice', '--proxy-user', 'x']", "['psql', '--username', ***, '--proxy-user', ***]"),
        ("('db.user', 'alice'), user: ['alice'", "('db.user', ***), user: [***"),
        ("{'username': ['alice'], 'user': ('alice',)}", "{'username': [***], 'user': (***,)}"),
        ('"user": [\n  "alice",\n  "bob"\n], \\"user\\": [\\"alice\\"]', '"user": [\n  ***\n], \\"user\\": [***]'),
        ("db_username=alice DB_USER=alice remote_user: alice", "db_username=*** DB_USER=*** remote_user: ***"),
        ("x\\nuser=alice,\\tlogged in as bob", "x\\nuser=***,\\tlogged in as ***"),
        ('{"a": "\\\\u201calice\\\\u201d"}', '{"a": "\\\\u201c***\\\\u201d"}'),
        ("db_user=12345678 db_user: true-north db_user=$1x", "db_user=*** db_user: *** db_user=***"),
        ("<username>alice smith</username>\n<user>bob\n</user>", "<username>***</username>\n<user>***\n</user>"),
    ],
)
def test_account(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


@pytest.mark.parametrize("number", ["4242424242424242", "5555555555554444", "2223003122003222", "3566002020360505"])
@pytest.mark.parametrize(
    "text",
    [
        *("card[number]={}&card[cvc]=314", "payment_method_data[card][number]={}", "{{'card': {{'number': '{}'}}}}"),
        *("cc_number={}", "ccnum={}", "card={}", "Card: {}", "PAN: {}", "Card No. {}", "paid with {}.", "[{}, 2]"),
        *('{{"number": {}}}', "{} was declined"),
    ],
)
def test_card(number: str, text: str) -> None:
    for separator in ("", " ", "-", "+"):
        written = separator.join(number[start : start + 4] for start in range(0, 16, 4))
        redacted = Redactor().text(text.format(written))
        assert number[-4:] not in redacted
        assert number[:4] not in redacted


def test_card_of_another_length() -> None:
    text = "378282246310005, 3782 822463 10005, 30569309025904, 3056 930902 5904, 6011111111111117, 4917610000000000003"
    assert Redactor().text(text) == "***, ***, ***, ***, ***, ***"
    attributes = {"c": {"card": {"number": "4242424242424242"}}, "cc_number": 4242424242424242}
    assert "4242" not in str(Redactor().attributes(attributes))


@pytest.mark.parametrize("text", ["SSN# 078-05-1120", "SSN is 078-05-1120", "Social Security #: 078 05 1120"])
def test_social_security_number(text: str) -> None:
    assert "1120" not in Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241 is no card",
        "at 1714567890123456789 ns, 1714567890123456 us, 1714567890123 ms",
        "id 424242424242424242424242, 4242424242424242a, x4242424242424242, 0.4242424242424242, 4242424242424242.5",
        "call +4242424242424242",
        "on 2026-11-28 04:38:23.123456 after 4242 4242 ms",
        "the id 7242424242424242 and 1242424242424242",
        "ssn lookup took 078 ms",
    ],
)
def test_number_that_is_no_card(text: str) -> None:
    assert Redactor().text(text) == text


# --- Emails ---------------------------------------------------------------------------------------------------------


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    return "".join(character if character.isalnum() or character in ".-" else escape(character) for character in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL": quote_plus,
    "URL twice": lambda text: quote(quote(text)),
    "URL three times": lambda text: quote(quote(quote(text))),
    "JSON": lambda text: _escaped(text, lambda character: f"\\u{ord(character):04x}"),
    "JSON in JSON": lambda text: _escaped(text, lambda character: f"\\\\u{ord(character):04X}"),
    "Python": lambda text: _escaped(text, lambda character: f"\\x{ord(character):02x}"),
    "HTML": lambda text: _escaped(text, lambda character: f"&#{ord(character)};"),
    "HTML in hexadecimal": lambda text: _escaped(text, lambda character: f"&#x{ord(character):x};"),
    "HTML twice": lambda text: html.escape(_escaped(text, lambda character: f"&#{ord(character)};")),
    "HTML by name": lambda text: text.replace("@", "&commat;"),
    "JSON with capitals": lambda text: text.replace("@", "\\U00000040"),
    "octal": lambda text: text.replace("@", "\\100"),
    "HTML without an end": lambda text: text.replace("@", "&#64"),
    "HTML with zeros": lambda text: text.replace("@", "&#x00040;"),
    "quoted-printable": lambda text: text.replace("@", "=40"),
    "old URL": lambda text: text.replace("@", "%u0040"),
    "full width": lambda text: text.replace("@", "\N{FULLWIDTH COMMERCIAL AT}"),
}
LOCAL_PARTS = st.from_regex(r"[a-z0-9]{0,3}([._+-][a-z0-9]{1,3})?", fullmatch=True)
AROUND = st.sampled_from(
    ["{}", "<{}>", "'{}'", "to {}, then", "({})", "[{}]", "email={}", "mailto:{}", "{}.", "x\n{}\ny"]
)


@MANY
@given(local=LOCAL_PARTS, encoding=st.sampled_from(sorted(ENCODINGS)), around=AROUND)
def test_email(local: str, encoding: str, around: str) -> None:
    text = around.format(ENCODINGS[encoding](f"{local}{MARK}@{MARK}.example"))
    assert MARK not in Redactor().text(text), text


@pytest.mark.parametrize(
    "local",
    [
        f"sinead.{MARK}.o'connor",
        f"{MARK}'brien",
        f"{MARK}!#$%&*x",
        f"a`{MARK}^{{|}}~x",
        f"{MARK}/x",
        f"x?{MARK}",
        f"{MARK}=x",
        f"default:{MARK}==",
        f"{MARK}=",
        f"to={MARK}=",
    ],
)
@pytest.mark.parametrize("around", ["{}", "to {} failed", "<{}>", '"{}"'])
def test_email_with_any_character(local: str, around: str) -> None:
    assert MARK not in Redactor().text(around.format(f"{local}@example.com"))


@pytest.mark.parametrize("text", ["twitter=@{}", "to=@{}.example.com", "email==@{}.com", "x=@{}p1", "x=@p1{}"])
def test_email_without_a_local_part(text: str) -> None:
    assert MARK not in Redactor().text(text.format(MARK))


# --- Tokens ---------------------------------------------------------------------------------------------------------

LOWER = string.ascii_lowercase + string.digits


def _characters(alphabet: str, count: int) -> str:
    return "".join(random.choices(alphabet, k=count))  # noqa: S311


TOKENS: dict[str, Callable[[], str]] = {
    "token_urlsafe": lambda: secrets.token_urlsafe(32),
    "token_hex": lambda: secrets.token_hex(32),
    "SHA-1": lambda: secrets.token_hex(20),
    "Base64": lambda: base64.b64encode(secrets.token_bytes(48)).decode(),
    "Base64 in a URL": lambda: quote(base64.b64encode(secrets.token_bytes(48)).decode(), safe=""),
    "password reset": lambda: f"{_characters(LOWER, 6)}-{secrets.token_hex(16)}",
    "session id": lambda: _characters(LOWER, 32),
    "GitHub": lambda: "ghp_" + _characters(string.ascii_letters + string.digits, 36),
    "GitHub, letters alone": lambda: "ghp_" + _characters(string.ascii_letters, 36),
    "GitLab": lambda: "glpat-" + _characters(string.ascii_letters, 20),
    "Slack": lambda: "xoxb-" + _characters(string.digits, 12) + "-" + _characters(string.ascii_letters, 24),
    "Stripe": lambda: "sk_live_" + _characters(string.ascii_letters, 24),
    "Stripe's webhooks": lambda: "whsec_" + _characters(string.ascii_lowercase, 32),
    "SendGrid": lambda: f"SG.{_characters(string.ascii_lowercase, 22)}.{_characters(string.ascii_lowercase, 43)}",
    "AWS": lambda: "AKIA" + _characters(string.ascii_uppercase + "234567", 16),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_token(kind: str) -> None:
    """Random tokens may by chance look like words: nearly none of them does."""
    redactor, all_leaked = Redactor(), []
    for around in ("{}", "/reset/MQ/{}/", "got {}.", "'{}'", "x={}&y", "http://h/a/{}"):
        tokens = [TOKENS[kind]() for _ in range(100)]
        leaked = [text for token in tokens if token in redactor.text(text := around.format(token))]
        assert len(leaked) <= 3, leaked
        all_leaked += leaked
    assert len(all_leaked) <= 6, all_leaked


@pytest.mark.parametrize(
    "text",
    [
        "/usr/lib/python3.11/site-packages/django/core/handlers/exception.py",
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter.OTLPSpanExporter",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301/posts",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736.",
        "k8s.node.allocatable.cpu self.m2m_target_field_name test_named_secret_leaves_the_rest",
        "Sha256Md5Base64Utf8Encoder IPv4Address2IPv6AddressMapper AbstractBaseSessionManagerFactoryBean2",
        "ReverseGenericManyToOneDescriptor ECDHE-RSA-AES128-GCM-SHA256",
        "my-app-7d9f8b6c5d-x2x9z api-v2-worker-5d4b8c9f7x-zq8wl",
        "2026-11-28T04:38:23.123456+00:00",
        "Mozilla/5.0 AppleWebKit/537.36 Chrome/126.0.0.0 python-requests/2.31.0",
    ],
)
def test_token_harmless(text: str) -> None:
    assert Redactor().text(text) == text


# --- Databases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"invalid input syntax for type integer: \"x\"\nLINE 1: SELECT '{MARK}'::int\n               ^",
        f"LINE 1: SELECT {MARK}\n               ^",
        f"syntax error\nQUERY:  SELECT 'a'\n  , \"{MARK}\"\nCONTEXT:  PL/pgSQL function f(text) line 3",
        f"x\nCONTEXT:  COPY users, line 1, column email: {MARK}",
        f"x\nCONTEXT:  unnamed portal with parameters: $1 = '{MARK}'\nTraceback",
        f'x\nDETAIL:  Token "{MARK}" is invalid.\nCONTEXT:  JSON data, line 1: {{"a":{MARK}...',
        f"x\nDETAIL:  Schlüssel »(email)=({MARK})« existiert bereits.",
        f"DETAIL:  Key (room, during)=(1, [{MARK})) conflicts with existing key (room, during)=(1, [{MARK})).",
        f"DETAIL:  Key (name)=(a) is b{MARK}) already exists.",
        f"UniqueViolation('x\\nDETAIL:  Key (email)=({MARK}) already exists.')",
        f"DataError('x\\nLINE 1: SELECT {MARK}\\n      ^')",
        f'date/time field value out of range: "{MARK}"',
        f'value "{MARK}" is out of range for type integer',
        f'unterminated quoted string at or near "\'{MARK}"',
        f"Duplicate entry '{MARK}' for key 'users.email'",
        f"STATEMENT:  SELECT {MARK}",
        f'syntax error in tsquery: "{MARK}"',
        f'time zone "{MARK}" not recognized',
        f'"{MARK}" is not a valid binary digit',
        f'unrecognized configuration parameter "{MARK}"',
        f"check the manual for the right syntax to use near '{MARK}' at line 1",
        f"Fehlgeschlagene Zeile enthält (1, {MARK})",
        f"La ligne en échec contient (1, {MARK}).",
        f"DETAIL:  Process 1 waits for ShareLock on x; blocked by process 2.\nProcess 1: update x set y={MARK}",  # noqa: S608
        f"DETAIL:  Process 1 waits; blocked by process 2.\nProcess 1: UPDATE x\n  SET y=1\nProcess 2: COPY {MARK}",  # noqa: S608
        f"Process 1 waits for x; blocked by process 2.\r\nProcess 1: update a set b={MARK}",  # noqa: S608
        f"Process 1 waits; blocked by process 2.\nProcess 1: INSERT x 'Hi\nDear John: x'\nProcess 2: NOTIFY {MARK}",
        f"Process 1 waits; blocked by process 2.\n\tProcess 1: a {MARK}\\n\\tProcess 2: {MARK}",
        f"Process 1 waits; blocked by process 2.\nProcess 1: UPDATE x\n  SET y={MARK}",  # noqa: S608
        json.dumps(json.dumps(f"Process 1 waits; blocked by process 2.\nProcess 1: update a set b={MARK}")),  # noqa: S608
    ],
)
def test_database_error(text: str) -> None:
    redactor = Redactor()
    assert MARK not in redactor.text(text)
    assert MARK not in redactor.stack(
        f"Traceback (most recent call last):\npsycopg.errors.X: {text}\n\nThe above exception"
    )


# Of PostgreSQL's translations: a label of a line, of a detail, of a statement; a key, a row, a value.
TRANSLATIONS = {
    "de": ("ZEILE 1:", "DETAIL:  Schlüssel »(a)=({})« existiert bereits.", "ANWEISUNG:  ", "Syntaxfehler bei »{}«"),
    "fr": (
        "LIGNE 1 :",
        "DÉTAIL : La clé « (a)=({}) » existe déjà.",
        "REQUÊTE : ",
        "entrée invalide : « {} »",
    ),
    "es": ("LÍNEA 1:", "DETALLE:  Ya existe la llave (a)=({}).", "SENTENCIA:  ", "la sintaxis no es válida: «{}»"),
    "it": (
        "RIGA 1:",
        "DETTAGLI:  La chiave (a)=({}) esiste già.",
        "ISTRUZIONE:  ",
        'sintassi non valida: "{}"',
    ),
    "pt_BR": ("LINHA 1:", "DETALHE:  Chave (a)=({}) já existe.", "COMANDO:  ", 'sintaxe de entrada é inválida: "{}"'),
    "ru": ("СТРОКА 1:", 'ПОДРОБНОСТИ:  Ключ "(a)=({})" уже существует.', "ОПЕРАТОР:  ", 'неверный синтаксис: "{}"'),  # noqa: RUF001
    "ja": ("行 1:", "詳細:  キー (a)=({}) はすでに存在します。", "ステートメント:  ", '入力構文が不正です: "{}"'),
    "zh_CN": ("第1行", '描述:  键值"(a)=({})" 已经存在', "语句:  ", '输入语法无效: "{}"'),
    "pl": ("LINIA 1:", "SZCZEGÓŁY:  Klucz (a)=({}) już istnieje.", "ZAPYTANIE:  ", "nieprawidłowa składnia: «{}»"),
    "of no list": ("ABC 1:", "XYZ:  (a)=({}) xyz.", "STATEMENT:  ", "xyz «{}»"),
}


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_database_error_in_another_language(language: str) -> None:
    line, detail, statement, value = TRANSLATIONS[language]
    for text in (
        f"{line} SELECT {MARK}\n              ^",
        detail.format(MARK),
        f"{detail.partition(':')[0]}: (1, {MARK})" if language != "of no list" else "",
        f"{statement}SELECT {MARK}\n  , {MARK}",
        value.format(MARK),
        value.format(f"a {MARK}") + "\n" + detail.format(f"1, {MARK}"),
    ):
        redacted = Redactor().text(f"psycopg.errors.X: x\n{text}\nTraceback (most recent call last):")
        assert MARK not in redacted, text
        assert redacted.endswith("Traceback (most recent call last):")


def test_database_error_keeps_what_helps() -> None:
    text = 'duplicate key value violates unique constraint "u"\nDETAIL:  Key (lower(email::text))=(x) already exists.'
    assert Redactor().text(text) == text.replace("=(x)", "=(***)")
    text = "deadlock detected\nDETAIL:  Process 1 waits for ShareLock on transaction 2; blocked by process 3."
    assert Redactor().text(text) == text
    text = 'relation "users" does not exist\nLINE 1: SELECT x\n        ^'
    assert Redactor().text(text) == text.replace("SELECT x", "***")


@pytest.mark.parametrize(
    ("dialect", "statement", "expected"),
    [
        ("postgresql", "SELECT /* a /* 'b' */ c */ d", "SELECT  d"),
        ("sqlite", "SELECT /* a /* b */ 'c' */ d", "SELECT  ? */ d"),
        ("sqlite", "SELECT /* a /*/ b, 'c' /* d */", "SELECT  b, ? "),
        ("postgresql", "SELECT a %5, b % 7, @-3, @4, c[1:2], :5", "SELECT a %?, b % ?, @-?, @?, c[?:?], :?"),
        ("postgresql", "SELECT %s, %(name)s, $1, a::int, a->>'b'", "SELECT %s, %(name)s, $1, a::int, a->>?"),
        ("postgresql", 'SELECT "a"."b" FROM "a" WHERE "c" = 1.5e-3', 'SELECT "a"."b" FROM "a" WHERE "c" = ?'),
        ("sqlite", 'SELECT * FROM "u" WHERE "u"."name" = "alice"', 'SELECT * FROM "u" WHERE "u"."name" = ?'),
        ("sqlite", 'INSERT INTO "u" ("a", "b") VALUES ("x", ?)', 'INSERT INTO "u" ("a", "b") VALUES (?, ?)'),
        (
            "sqlite",
            'UPDATE "u" SET "a" = ?, "b" = "x" WHERE "u"."id" = 1',
            'UPDATE "u" SET "a" = ?, "b" = ? WHERE "u"."id" = ?',
        ),
        ("sqlite", 'SELECT COUNT(*) AS "__count" FROM (SELECT "u"."id" AS "c") sub', None),
        ("sqlite", "SELECT :name, ?1, @p", None),
        ("sqlite", 'INSERT INTO "a" ("x") VALUES (?) ON CONFLICT("x", "y") DO UPDATE SET "x" = EXCLUDED."x"', None),
        (
            "sqlite",
            'INSERT INTO "a" ("x") VALUES ("u") ON CONFLICT ("x") DO UPDATE SET "x" = EXCLUDED."x", "y" = "v"',
            'INSERT INTO "a" ("x") VALUES (?) ON CONFLICT ("x") DO UPDATE SET "x" = EXCLUDED."x", "y" = ?',
        ),
        ("postgresql", 'SELECT SUM("__col1"), COALESCE("a", %s) FROM (SELECT "x" AS "__col1" FROM "t") AS "s"', None),
        ("postgresql", "CALL p(a, b) WHERE a=@p1 AND b = @p2", None),
        (
            "postgresql",
            'SELECT "s"."id" FROM "s" WHERE "s"."session_key" <> %s AND "s"."b" > %s ORDER BY "s"."id"',
            None,
        ),
        ("mysql", "SELECT `a` FROM b WHERE c = 'it\\'s' AND d = \"x\" # y", "SELECT `a` FROM b WHERE c = ? AND d = ? "),
        ("mysql", 'SELECT "a\\" , x", b', "SELECT ?, b"),
        ("postgresql", "SELECT E'a'\n  '\\'x', b", "SELECT ?, b"),
        ("postgresql", "SELECT E'a' -- b'\n -- c\n '\\'x', b", "SELECT ?, b"),
        ("postgresql", "SELECT ` , 'x' , `", "SELECT ` , ? , `"),
        ("sqlite", 'CREATE TABLE "a" ("b" text DEFAULT "x")', 'CREATE TABLE "a" ("b" text DEFAULT ?)'),
        ("", "SELECT 'it\\'s x', b", "SELECT ?"),
        ("", "SELECT 1 # x", "SELECT ? "),
        ("", 'SELECT f("x", g("y")) FROM "b"', 'SELECT f(?, g(?)) FROM "b"'),
        (
            "",
            'SELECT "a" FROM "b" WHERE "c" IN ("x", "y") OR ("d" = 1)',
            'SELECT "a" FROM "b" WHERE "c" IN (?, ?) OR ("d" = ?)',
        ),
        (
            "",
            'INSERT INTO "a" ("b", "c") VALUES ("x", "y"), ("z", 1)',
            'INSERT INTO "a" ("b", "c") VALUES (?, ?), (?, ?)',
        ),
        ("", 'SELECT COUNT("a"."b"), max(a) FROM (SELECT "c" FROM "a") AS "d"', None),
        ("oracle", "SELECT q'[it's x]' FROM b", "SELECT ? FROM b"),
        ("oracle", "SELECT q'!it's x!' FROM b", "SELECT ? FROM b"),
        ("oracle", "SELECT nq'xit's yx' FROM b", "SELECT ? FROM b"),
        ("", "SELECT q'|it's x|', Q'\"y\"' FROM b", "SELECT ?, ? FROM b"),
        ("postgresql", "SELECT $é$it's x$é$, 1", "SELECT ?, ?"),
        ("", 'SELECT "a" FROM b WHERE c = "x" AND d LIKE "y%"', 'SELECT "a" FROM b WHERE c = ? AND d LIKE ?'),
    ],
)
def test_statement(dialect: str, statement: str, expected: str | None) -> None:
    assert Redactor().statement(statement, dialect) == (statement if expected is None else expected)
    attributes = {"db.system.name": dialect, "db.query.text": statement}
    assert Redactor().attributes(attributes)["db.query.text"] == (statement if expected is None else expected)


def test_statement_of_one_text_differs_by_dialect() -> None:
    """What is remembered of a harmless attribute holds for its database alone."""
    redactor, text = Redactor(), 'SELECT "alice"'
    assert redactor.attributes({"db.system.name": "postgresql", "db.query.text": text})["db.query.text"] == text
    assert redactor.attributes({"db.system.name": "sqlite", "db.query.text": text})["db.query.text"] == "SELECT ?"


LITERALS = [
    "'{}'",
    "'it\\'s {}'",
    "'it''s {}'",
    "E'\\'{}'",
    "$${}$$",
    "$a${}$a$",
    "N'{}'",
    "'a', '{}'",
    "f('{}')",
    "/*{}*/ 1",
    "1 -- {}",
]
STATEMENTS = [
    *(
        "SELECT a FROM b WHERE c = {}",
        "select a from b where c in (1, {})",
        "INSERT INTO a VALUES (1, {})",
        "UPDATE a SET b = {}",
    ),
    *("DELETE FROM a WHERE b = {}", "SELECT f({})", "SELECT {}", "CALL p({})", "MERGE INTO a USING b ON a = {}"),
    *("WITH a AS (SELECT {}) SELECT 1", "EXEC p {}", "ALTER USER me WITH PASSWORD {}", "REPLACE INTO a VALUES ({})"),
    *(
        "update a b set c = {}",
        "update only a set b = {}",
        "having a = {}",
        "where a between 1 and {}",
        "WHERE a ILIKE {}",
    ),
]


@pytest.mark.parametrize("statement", [each for each in STATEMENTS if not each.lower().startswith(("where", "having"))])
def test_statement_of_several_lines_in_a_text(statement: str) -> None:
    text = statement.format(f"'{MARK}'").replace(" ", "\n")
    for shown in (text, f"failed: {ValueError(text)!r}", json.dumps({"sql": text}), json.dumps(json.dumps([text]))):
        assert MARK not in Redactor().text(shown), shown


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("literal", LITERALS)
def test_statement_in_a_text(statement: str, literal: str) -> None:
    for around in ("{}", "(0.001) {}; args=None; alias=default", "failed: {}", "ERROR\n{}\n"):
        text = around.format(statement.format(literal.format(MARK)))
        assert MARK not in Redactor().text(text), text


@pytest.mark.parametrize(
    "text",
    [
        f'select * from a where b in (1, 2, "{MARK}")',  # noqa: S608
        f'INSERT INTO a (b) VALUES ("x", "{MARK}")',  # noqa: S608
        f'INSERT INTO a VALUES ("x"), ("{MARK}")',  # noqa: S608
        f"(0.001) SELECT a FROM b WHERE c = %s; args=('{MARK}',); alias=default",  # noqa: S608
        f"(0.001) SELECT lower(%s); args=('{MARK}',); alias=default",
        f"[SQL: SELECT 1]\n[parameters: ('{MARK}', 1)]",
        f"[generated in 0.00007s] ('{MARK}', 'b')",
        f"[cached since 0.1s ago] {{'a': '{MARK}'}}",
        f"[raw sql] ('{MARK}',)",
        f"DO $$ BEGIN PERFORM '{MARK}'; END $$",
        f"SET PASSWORD FOR 'x' = PASSWORD('{MARK}')",
        f"DETAIL:  parameters: $1 = '{MARK}', $2 = '5'",
        "SELECT 123456789 FROM b",
        "INSERT INTO a SELECT 123456789 FROM b",
        "SELECT a FROM b WHERE c - 123456789 > 1",
        "SELECT a FROM b WHERE c != - 123456789",
        "SELECT a FROM b WHERE c = .123456789",
        "SELECT a FROM b OFFSET 123456789 ROWS",
    ],
)
def test_statement_in_a_text_of_another_kind(text: str) -> None:
    redacted = Redactor().text(text)
    assert MARK not in redacted
    assert "123456789" not in redacted


QUOTED = {"sql": 'SELECT "b"."a" FROM "b" WHERE c = %s', "params": [f"Ada {MARK} Ray", 5], "more": "x"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(QUOTED),
        json.dumps([json.dumps(QUOTED)]),
        json.dumps([json.dumps(QUOTED)] * 2),
        str(QUOTED),
        repr(str(QUOTED)),
        str([{"sql": f"SELECT a FROM b WHERE c = 'Ada {MARK} Ray'", "time": "0.1"}]),  # noqa: S608
        str([{"sql": f"EXPLAIN (SELECT a FROM b WHERE c = '{MARK}' AND d = %s)", "params": f"Ada {MARK}"}]),  # noqa: S608
        f'ran "SELECT a FROM b WHERE c = %s" with ["Ada {MARK} Ray"] and ["Ada {MARK} Ray"]',  # noqa: S608
        f"ran 'SELECT a FROM b WHERE c = 'Ada {MARK} Ray' AND d = 'Ada {MARK} Ray'' at once",  # noqa: S608
        f"ran ('SELECT a FROM b WHERE c = %s', ('Ada {MARK} Ray',))",  # noqa: S608
    ],
)
def test_parameters_beside_a_statement_in_quotes(text: str) -> None:
    redacted = Redactor().text(text)
    assert MARK not in redacted
    assert "SELECT " in redacted


@pytest.mark.parametrize(
    "text",
    [
        'SELECT "a"."b", COUNT("a"."c") FROM "a" WHERE "a"."d" = %s took 12 ms on worker-3',
        'INSERT INTO "a" ("b", "c") VALUES (%s, %s)',
        "SET up in 3 s",
        "[generated in 0.00011s] ()",
        "DO it for $5",
        "CALL of 3 functions",
        "select a value",
    ],
)
def test_statement_in_a_text_keeps_its_shape(text: str) -> None:
    assert Redactor().text(text) == text


def test_statement_in_a_stack_trace_keeps_the_frames() -> None:
    statement = f"SELECT a FROM b WHERE c = 'it\\'s {MARK}' and d = 5"  # noqa: S608
    stack = f'  File "x.py", line 1, in f\nValueError: {statement}\n\n  File "y.py", line 23, in g\nValueError\n'
    redacted = Redactor().stack(stack)
    assert MARK not in redacted
    assert 'File "y.py", line 23, in g' in redacted
    source = f'c.execute("SELECT a FROM b WHERE c = %s", ["Ada {MARK} Ray"])'  # noqa: S608
    stack = f'  File "x.py", line 1, in f\n    {source}\n  File "y.py", line 23, in g\n    {source}\n    ^^\nError: b\n'
    redacted = Redactor().stack(stack)
    assert MARK not in redacted
    assert 'File "y.py", line 23, in g\n    c.execute("SELECT a FROM b WHERE c = %s"' in redacted
    assert redacted.endswith("\nError: b\n")


# --- Servers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"Error handling request /users?search=Alice {MARK}&ssn=1", "Error handling request"),
        (f"Error handling request GET /users?search=Alice {MARK}", "Error handling request"),
        (
            f"Invalid request from ip=10.0.0.1: Invalid HTTP request line: 'GET /u?s=A {MARK}&x=1 HTTP/1.1'",
            "request line",
        ),
        (f"Invalid request from ip=10.0.0.1: Invalid HTTP Header: 'X {MARK}'", "Invalid HTTP Header"),
        (f"Invalid request from ip=10.0.0.1: Invalid HTTP method: '{MARK}'", "Invalid HTTP method"),
        (f"No more data after: b'{MARK}'", "No more data after"),
        (f'10.0.0.1 "GET /users?search=Alice {MARK} HTTP/1.1" 400', "400"),
        (f"GET /users?search=Alice {MARK}&ssn=1", "GET /users"),
        (f"redirect to /login?next=%2Fusers%3Fsearch%3D{MARK}", "redirect to /login"),
        (f"next is %2Fusers%3Fsearch%3D{MARK}", "next is %2Fusers"),
    ],
)
def test_line_of_a_server(text: str, kind: str) -> None:
    redacted = Redactor().text(text)
    assert MARK not in redacted
    assert kind in redacted


# --- Names ----------------------------------------------------------------------------------------------------------


def test_names_made_of_data() -> None:
    redactor = Redactor()
    assert redactor.name(f"tenant.{MARK}@example.com") == "***"
    assert redactor.attributes({f"user {MARK}@example.com": 1}) == {"user ***": 1}
    # One that happens to contain the name of a secret, such as "-pin-", hides its value, too.
    token = next(name for name in iter(lambda: f"x{secrets.token_urlsafe(32)}", "") if not is_secret(name))
    assert redactor.attributes({token: 1}) == {"***": 1}
    assert redactor.attributes({"pairs": [("Cookie", f"a={MARK}"), (b"Host", "x")]}) == {
        "pairs": [["Cookie", "***"], ["Host", "x"]]
    }


# --- Bounds of time -------------------------------------------------------------------------------------------------

PIECES = [
    *(
        "a@",
        "a.",
        "://",
        "<a:",
        "token ",
        "session ",
        "Bearer ",
        "invalid input syntax",
        "user:",
        "select from ",
        "x\\npin=",
    ),
    *(
        "a",
        "@",
        "?",
        "://a",
        "<a: <",
        "'",
        '="\\',
        "“",
        "%40",
        "%25",
        "1a",
        "/a1B2",
        "&#65;",
        "&amp;",
        "\\u0041",
        "\\",
        "<token><a></",
    ),
    *(
        "password",
        "password=",
        "password=[",
        'password=["',
        'token\\"',
        "session_",
        'pass"\n',
        "cookie:\n",
        "-pin:\nx\n",
        '"token":\nx\n',
        "tokens:\n a: 1\n",
        "password:\n - x\n",
        "token" * 16 + ".",
        "secrets.a.",
        "token[a",
        "--password ",
        "-----BEGIN ",
        "card: 1 ",
        "digest nonce=",
        "4242 ",
        "4242-424242 ",
        "input_value=",
        "pin: # a\n ",
        "pin: &a ",
        "[generated in ",
        "DO $",
        "value='x', name='",
        'value="x" a="b" a=\\',
        f"value='x' a={' ' * 20}b={' ' * 20}c={' ' * 20}",
        f"value='x' name='{'a ' * 20}",
        "pin', a=b, ",
        "pin</a> <",
        "user:['",
        "('user', 'a",
        "user: ['a',",
        "eyJ12345678.",
    ),
    *("key (", "Key (a)=(", "Failing row contains (", "DETAIL: ", "CONTEXT: \n", "QUERY: ", "LINE 1: ", "near "),
    *(
        "select ",
        "where ",
        "values (",
        "update a ",
        "for user ",
        "error handling request ",
        "GET /? HTTP/",
        "a?b &c=",
        "%3Fa",
    ),
]


SHORT, LONG, LONGEST = 2_000, 16_000, 120_000  # the longest is nearly what is redacted of a stack trace as a whole
# How many times as long as the short text they may take; a quadratic expression takes 64 and 3,600 times as long.
MOST_TIMES = {LONG: 16, LONGEST: 240}


def repeated(piece: str, length: int, around: str = "{}") -> str:
    """Return a text of about `length` bytes, too few to be cut."""
    return around.format(piece * (length // len(piece.encode())))


def duration(redact: Callable[[str], object], text: str) -> float:
    """Return the seconds of CPU time that the redaction takes, without the garbage collector's."""
    gc.disable()
    try:
        started = thread_time()
        redact(text)
        return thread_time() - started
    finally:
        gc.enable()


def durations(redact: Callable[[str], object], *texts: str) -> Iterator[list[float]]:
    """Yield the durations for the texts in each of a few rounds, and the least of them so far.

    Other processes make some longer, and the machine's speed may change between two rounds.
    """
    rounds = []
    for _ in range(6):
        rounds.append([duration(redact, text) for text in texts])
        yield rounds[-1]
        yield [min(column) for column in zip(*rounds, strict=True)]


def assert_linear(redact: Callable[[str], object], piece: str, around: str = "{}", longest: int = LONG) -> None:
    """A text of many times the length takes about as many times as long, and not 200 times as long as a harmless one.

    So this holds however slow the machine is.
    """
    texts = repeated(piece, SHORT, around), repeated(piece, longest, around), repeated("all is well ", longest)
    most = MOST_TIMES[longest]
    for length in (250, 500, 1_000):  # a cubic expression would take hours for the long one
        assert is_within(duration(redact, repeated(piece, length, around)), 0.5), piece
    assert any(long < min(most * short, 200 * harmless) for short, long, harmless in durations(redact, *texts)), piece


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    assert_linear(Redactor().stack, piece, longest=LONGEST)


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_megabyte_is_quick(piece: str) -> None:
    redactor = Redactor()
    attributes = ("url.path", "url.full", "db.query.text")
    text = repeated(piece, 1_000_000)
    everywhere = {text: 1, **dict.fromkeys(attributes, text)}
    assert is_within(duration(lambda _: redactor.attributes(everywhere), text), 1.0)


@pytest.mark.parametrize("method", ["text", "body", "stack", "statement"])
def test_no_more_is_looked_at_of_a_longer_text(method: str) -> None:
    redact = getattr(Redactor(), method)
    for piece in ("all is well ", "%40", "password=' "):
        texts = repeated(piece, 150_000), repeated(piece, 1_200_000)
        assert any(longer < 3 * long for long, longer in durations(redact, *texts)), piece


NEEDLES = sorted({needle for rule in RULES for needle in rule.needles} | set(BEGINNINGS))
BETWEEN_NEEDLES = [
    "",
    *" =:,()[{\n\\/.-_&%><@;\t",
    ": ",
    "='",
    '="',
    ", '",
    "a",
    "1",
    " a ",
    "=[",
    "='\\",
    "\n  ",
    ' x="',
    "'), ",
]


@pytest.mark.parametrize("needle", NEEDLES)
def test_needle_takes_linear_time_whatever_follows(needle: str) -> None:
    """What makes a rule run, again and again, with the same between them."""
    redact = Redactor().stack
    assert_linear(redact, needle)
    for piece in [f"{needle}{between}" for between in BETWEEN_NEEDLES]:
        if duration(redact, repeated(piece, 1000)) > 0.003:  # else it is quick enough, whatever the growth
            assert_linear(redact, piece)


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        ")",
        "(1,",
        '"x",',
        "'",
        "''",
        "\\'",
        '\\"',
        "1,",
        "- 1",
        "--",
        "/*",
        "$$",
        "$a",
        "q'[",
        "E'\\",
        "a(",
        "in (",
        "E''\n",
    ],
)
def test_hostile_statement_in_a_text_takes_linear_time(piece: str) -> None:
    assert_linear(Redactor().stack, piece, "SELECT a FROM b WHERE {}", LONGEST)


@pytest.mark.parametrize("piece", ['"a",', '"a" ', 'into "a" ', 'into "', 'into a."a" "b"', "/* ", "/*/", "--\n"])
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql", ""])
def test_hostile_statement_takes_linear_time(piece: str, dialect: str) -> None:
    around = "select '', {}"  # no statement with a quote is remembered
    assert_linear(lambda text: without_literals(text, dialect), piece, around)


FIELDS = [
    *("CONTEXT: ", "CONTEXT:  a", "DETAIL:  a", "QUERY:  a", "LINE 1: a", "DÉTAIL : a", "詳細:"),
    *("1 waits; blocked by process 2.\nProcess 1: a", "Key (a)=(b", "Failing row contains (a", "[generated in 1s] (a"),
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("blank", ["\n", "\n ", " \n"])
def test_white_space_in_a_database_error_takes_linear_time(field: str, blank: str) -> None:
    redact = Redactor().stack
    assert_linear(redact, blank, f"{field}{{}}x")
    assert_linear(redact, f"{field}{blank * 16}")


def test_end_of_a_long_stack_trace_is_seen_in_context() -> None:
    """A statement or a quoted secret that began far before the end does not leave at the end."""
    for opening, closing in (("password='", "'"), ("SELECT a FROM b WHERE c = '", "'"), ("QUERY:  SELECT ", "")):
        stack = f"Traceback (most recent call last):\nValueError: {opening}{'x ' * 40_000}{MARK}{closing}"
        assert MARK not in Redactor().stack(stack)
    assert MARK not in Redactor().stack(f"password='{'x ' * 400_000}{MARK}'")

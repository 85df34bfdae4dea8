"""The environment, read once at the edge into one frozen object. A problem is one sentence naming the variable."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from worker.errors import SettingsError
from worker.urls import split_urls

PREFIX = "PIKE_ECONOMIC_"
FILE_ENDING = "_FILE"
"""``PIKE_ECONOMIC_DATABASE_URL_FILE`` names a file that holds the value: how orchestrators hand over secrets."""
MIN_LINK_KEY = 32

RETENTION_DAYS: Mapping[str, int] = {
    "events": 90,
    "letters": 365,
    "history": 400,
    "imports": 180,
    "details": 30,
    "acts": 1830,
}
"""Days that each kind is kept after it has ended; which tables a kind is about is in ``worker.store.retention``."""

_LEAST_DAYS = {"events": 7}
"""RabbitMQ, the wait ladder and unheard answers may bring an event again for a week."""

_WHAT = {
    "amqp_url": "the address of RabbitMQ, e.g. amqp://user:password@host:5672/vhost; of a cluster several, with commas",
    "database_url": "the address of Postgres, e.g. postgresql://user:password@host:5432/pike",
    "app_secret_token": "the secret token of the e-conomic app, from its developer agreement",
    "app_public_token": "the public token of the e-conomic app",
    "encryption_keys": "the keys that seal grant tokens: id:base64,… (make one with: openssl rand -base64 32)",
}


def _origin(value: object) -> object:
    text = str(value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("must be https: tokens are sent there (http is accepted on this machine only)")
    return text


def _origin_or_none(value: object) -> object:
    return _origin(value) if value else ""


def _retention(value: object) -> object:
    """Read ``events:90,letters:365``; kinds that are not named keep their default."""
    days = dict(RETENTION_DAYS)
    for entry in str(value).split(",") if value else []:
        kind, _, number = (part.strip() for part in entry.partition(":"))
        least = _LEAST_DAYS.get(kind, 1)
        if kind not in days:
            raise ValueError(f"'{kind}' is none of {', '.join(RETENTION_DAYS)} (events:90,letters:365,…)")
        if not number.isdecimal() or int(number) < least:
            raise ValueError(f"'{kind}' must be a number of days, {least} or more")
        days[kind] = int(number)
    return days


def _server(schemes: tuple[str, ...]) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and any(urlsplit(each).scheme not in schemes for each in split_urls(value)):
            raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return BeforeValidator(check)


HttpAddress = Annotated[str, BeforeValidator(_origin)]


class Settings(BaseModel):
    """Everything that can be set from outside. Secrets do not show in ``repr``."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    amqp_url: Annotated[SecretStr, _server(("amqp", "amqps"))]
    """RabbitMQ, 3.10 to 4.x: `amqp://user:password@host:5672/vhost`, or `amqps://` with TLS. Of a cluster every node,
    separated by commas: whichever answers is taken."""
    database_url: Annotated[SecretStr, _server(("postgresql", "postgres"))]
    """Postgres, 14 to 18: `postgresql://user:password@host:5432/pike`. Behind a pooler use its session mode: the lock
    triggers look for a mark that the worker's sessions carry."""
    app_secret_token: SecretStr = Field(min_length=1)
    """The secret token of the e-conomic app, from its developer agreement."""
    app_public_token: SecretStr = SecretStr("")
    """The app's public token: needed to connect in a browser."""
    encryption_keys: SecretStr = Field(min_length=1)
    """Keys that seal grant tokens, `id:base64,…`, 32 bytes each (`openssl rand -base64 32`). The first seals, all of
    them open."""
    legacy_url: HttpAddress = "https://restapi.e-conomic.com"
    """e-conomic's REST service. Tokens are sent to this origin and the next two only."""
    openapi_url: HttpAddress = "https://apis.e-conomic.com"
    """e-conomic's OpenAPI services."""
    consent_url: HttpAddress = "https://secure.e-conomic.com/secure/api1/requestaccess.aspx"
    """e-conomic's page on which a person grants access."""
    operator_tokens: SecretStr = SecretStr("")
    """Who may use the console and the operator API: `name:token,…`; `name/viewer:token` may only look; `sha256$hex`
    may stand for the token (`operator-token` makes both)."""
    link_key: SecretStr = SecretStr("")
    """The key shared with Pike that signs links which start connecting, 32 characters or more; `new,old` while it is
    changed."""
    http_host: str = "127.0.0.1"
    """Where health, metrics and pages are served."""
    http_port: int = Field(default=8080, ge=0, le=65535)
    """Its port; each copy on one machine needs one of its own. `0` takes a free one."""
    public_url: Annotated[str, BeforeValidator(_origin_or_none)] = ""
    """The address under which browsers and webhooks reach this service."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")
    """`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`."""
    prefetch_work: int = Field(default=300, ge=1, le=1000)
    """Deliveries in work at once for everything but imports; those of small workspaces come beside them."""
    prefetch_bulk: int = Field(default=4, ge=1, le=100)
    """Deliveries in work at once for imports."""
    wait_ladder_s: tuple[float, ...] = (5, 30, 120, 600, 3600)
    """Seconds of the waits between tries. Part of the broker's topology, so the same in every copy."""
    max_attempts: int = Field(default=8, ge=1, le=100)
    """Tries before an event becomes a dead letter. Waiting for e-conomic spends none."""
    tracing_url: str = ""
    """OTLP collector for traces, e.g. `http://collector:4318/v1/traces`; needs `pip install 'pike-economic[tracing]'`.
    One trace per request, from Pike's `traceparent` to the answer's. Off when empty."""
    retention_days: Annotated[dict[str, int], BeforeValidator(_retention)] = Field(
        default_factory=lambda: dict(RETENTION_DAYS)
    )
    """Days that what has ended is kept, `kind:days,…`; the kinds are described in deploy/data-protection.md."""
    import_slice_s: float = Field(default=20.0, gt=0)
    """How long one delivery of an import works before it lets others go first, in seconds."""
    sync_every_s: float = Field(default=900.0, ge=0)
    """How often, in seconds, what changed is read of each connection that chose no interval of its own; `0`: never,
    nor at night."""

    @model_validator(mode="after")
    def _ladder_climbs(self) -> Self:
        if not self.wait_ladder_s or list(self.wait_ladder_s) != sorted(set(self.wait_ladder_s)):
            raise ValueError("WAIT_LADDER_S must be growing numbers of seconds")
        return self

    @model_validator(mode="after")
    def _link_keys_are_long(self) -> Self:
        if any(len(key) < MIN_LINK_KEY for key in self.link_keys()):
            raise ValueError(f"LINK_KEY must be {MIN_LINK_KEY} characters or more (openssl rand -hex 32)")
        return self

    def link_keys(self) -> list[bytes]:
        """Return the keys shared with Pike; the first signs, all are accepted."""
        parts = self.link_key.get_secret_value().split(",")
        return [part.strip().encode() for part in parts if part.strip()]

    def redacted(self) -> dict[str, str]:
        """Return every setting as text, secrets as "set" or "not set", passwords in addresses removed."""
        shown = {}
        for name, value in self:
            if isinstance(value, SecretStr):
                shown[name] = _redact(name, value)
            else:
                shown[name] = str(value)
        return shown

    def secrets(self) -> list[str]:
        """Return the secret values, for the log redactor."""
        values = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        keys = [entry.partition(":")[2] for entry in self.encryption_keys.get_secret_value().split(",")]
        tokens = [entry.partition(":")[2] for entry in self.operator_tokens.get_secret_value().split(",")]
        links = [key.decode() for key in self.link_keys()]
        servers = [*split_urls(self.amqp_url.get_secret_value()), self.database_url.get_secret_value()]
        passwords = [urlsplit(url).password or "" for url in servers]
        return [value for value in [*values, *keys, *tokens, *links, *passwords] if value]


def _redact(name: str, value: SecretStr) -> str:
    text = value.get_secret_value()
    if name in ("amqp_url", "database_url"):
        return ",".join(_without_password(each) for each in split_urls(text))
    return "set" if text else "not set"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}{parts.path}"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises ``SettingsError`` with one sentence that names every missing or bad variable."""
    source = os.environ if environment is None else environment
    values: dict[str, object] = {
        name: value for name in Settings.model_fields if (value := _given(source, PREFIX + name.upper()))
    }
    if "wait_ladder_s" in values:
        values["wait_ladder_s"] = [part.strip() for part in str(values["wait_ladder_s"]).split(",")]
    try:
        return Settings.model_validate(values)
    except ValidationError as exc:
        raise SettingsError(_explain(exc)) from None  # the cause would carry the input, secrets included


def _given(source: Mapping[str, str], variable: str) -> str:
    """Return what was set, by itself or in the file that ``…_FILE`` names (without its last line break)."""
    value, file = source.get(variable, ""), source.get(variable + FILE_ENDING, "")
    if not file:
        return value
    if value:
        raise SettingsError(f"Settings are not usable: {variable} and {variable}{FILE_ENDING} are both set; keep one.")
    try:
        return Path(file).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise SettingsError(
            f"Settings are not usable: {variable}{FILE_ENDING} names {file}, which cannot be read ({reason})."
        ) from None  # a decoding error would carry what the file holds


def _explain(error: ValidationError) -> str:
    missing, bad = [], []
    for entry in error.errors(include_input=False, include_url=False):
        name = str(entry["loc"][0]) if entry["loc"] else ""
        variable = PREFIX + name.upper()
        if entry["type"] == "missing":
            missing.append(f"{variable} ({_WHAT.get(name, 'required')})")
        else:
            bad.append(f"{variable}: {entry['msg'].removeprefix('Value error, ')}" if name else entry["msg"])
    parts = []
    if missing:
        parts.append("missing in the environment: " + "; ".join(missing))
    if bad:
        parts.append("not usable: " + "; ".join(bad))
    return "Settings are " + " — and ".join(parts) + "."

"""The environment, read once at the edge into one frozen object. A problem is one sentence naming the variable."""

import os
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from worker.errors import SettingsError

PREFIX = "PIKE_ECONOMIC_"
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
    "amqp_url": "the address of RabbitMQ, e.g. amqp://user:password@host:5672/vhost",
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
        if isinstance(value, str) and urlsplit(value).scheme not in schemes:
            raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return BeforeValidator(check)


HttpAddress = Annotated[str, BeforeValidator(_origin)]


class Settings(BaseModel):
    """Everything that can be set from outside. Secrets do not show in ``repr``."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    amqp_url: Annotated[SecretStr, _server(("amqp", "amqps"))]
    database_url: Annotated[SecretStr, _server(("postgresql", "postgres"))]
    app_secret_token: SecretStr = Field(min_length=1)
    app_public_token: SecretStr = SecretStr("")
    encryption_keys: SecretStr = Field(min_length=1)
    legacy_url: HttpAddress = "https://restapi.e-conomic.com"
    openapi_url: HttpAddress = "https://apis.e-conomic.com"
    consent_url: HttpAddress = "https://secure.e-conomic.com/secure/api1/requestaccess.aspx"
    operator_tokens: SecretStr = SecretStr("")
    link_key: SecretStr = SecretStr("")
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    public_url: Annotated[str, BeforeValidator(_origin_or_none)] = ""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")
    prefetch_work: int = Field(default=50, ge=1, le=1000)
    prefetch_bulk: int = Field(default=4, ge=1, le=100)
    wait_ladder_s: tuple[float, ...] = (5, 30, 120, 600, 3600)
    max_attempts: int = Field(default=8, ge=1, le=100)
    tracing_url: str = ""
    retention_days: Annotated[dict[str, int], BeforeValidator(_retention)] = Field(
        default_factory=lambda: dict(RETENTION_DAYS)
    )
    import_slice_s: float = Field(default=20.0, gt=0)
    sync_every_s: float = Field(default=900.0, ge=0)

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
        passwords = [urlsplit(url.get_secret_value()).password or "" for url in (self.amqp_url, self.database_url)]
        return [value for value in [*values, *keys, *tokens, *links, *passwords] if value]


def _redact(name: str, value: SecretStr) -> str:
    text = value.get_secret_value()
    if name in ("amqp_url", "database_url"):
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}{parts.path}"
    return "set" if text else "not set"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises ``SettingsError`` with one sentence that names every missing or bad variable."""
    source = os.environ if environment is None else environment
    values: dict[str, object] = {
        name: source[PREFIX + name.upper()] for name in Settings.model_fields if source.get(PREFIX + name.upper())
    }
    if "wait_ladder_s" in values:
        values["wait_ladder_s"] = [part.strip() for part in str(values["wait_ladder_s"]).split(",")]
    try:
        return Settings.model_validate(values)
    except ValidationError as exc:
        raise SettingsError(_explain(exc)) from None  # the cause would carry the input, secrets included


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

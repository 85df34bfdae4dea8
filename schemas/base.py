"""The two base models: tolerant towards what others send, strict about what we send."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Tolerant(BaseModel):
    """Something we read: unknown fields are ignored, so that the other side may grow."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Strict(BaseModel):
    """Something we write or keep: a field nobody declared is a mistake of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EconomicIn(Tolerant):
    """A document read from e-conomic: camelCase names, unknown fields ignored, absent means ``None``."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )


class EconomicOut(Strict):
    """A document sent to e-conomic: camelCase names. Dump with ``exclude_none``: the API refuses nulls."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

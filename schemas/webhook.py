"""Webhooks of an agreement, as e-conomic's webhooks service has them (webhooksapi 1.0.0)."""

from datetime import datetime

from pydantic import Field

from schemas.base import EconomicIn, EconomicOut


class HookHeader(EconomicIn):
    """A header that e-conomic sends along; at most five."""

    key: str = ""
    value: str = Field(default="", repr=False)


class MergeField(EconomicIn):
    """A name that is replaced in what a webhook sends."""

    field_name: str = ""


class HookType(EconomicIn):
    """Something that a webhook can be called for."""

    name: str
    merge_fields: tuple[MergeField, ...] | None = None


class EconomicHook(EconomicIn):
    """A webhook; an agreement has at most one per event type, whoever made it."""

    event_type: str
    name: str = ""
    url: str = Field(default="", repr=False)
    content_type: str = ""
    post_data: str | None = None
    custom_headers: tuple[HookHeader, ...] | None = None
    is_disabled: bool = False
    last_disabled_date: datetime | None = None
    object_version: str | None = None


class HookHeaderOut(EconomicOut):
    """A header to be sent along."""

    key: str
    value: str = Field(repr=False)


class HookOut(EconomicOut):
    """A webhook to be made or replaced; a replacement names the version that it replaces."""

    event_type: str
    name: str = Field(max_length=100)
    url: str = Field(max_length=1000, repr=False)
    content_type: str = Field(max_length=50)
    post_data: str = Field(max_length=4000)
    custom_headers: tuple[HookHeaderOut, ...] = Field(max_length=5)
    is_disabled: bool = False
    object_version: str | None = None

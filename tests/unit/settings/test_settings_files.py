"""Settings whose value stands in a file, as container platforms hand over secrets."""

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import load

GIVEN = {
    "PIKE_ECONOMIC_AMQP_URL": "amqp://guest:guest@127.0.0.1/",
    "PIKE_ECONOMIC_DATABASE_URL": "postgresql://pike@127.0.0.1/pike",
    "PIKE_ECONOMIC_ENCRYPTION_KEYS": "test:AAAA",
}


def test_a_secret_is_read_from_the_file_that_is_named_without_its_line_break(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hush hush\n")
    settings = load({**GIVEN, "PIKE_ECONOMIC_APP_SECRET_TOKEN_FILE": str(file)})
    assert settings.app_secret_token.get_secret_value() == "hush hush"
    assert "hush hush" in settings.secrets()


def test_an_empty_file_is_a_missing_setting(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    with pytest.raises(SettingsError, match="missing in the environment: PIKE_ECONOMIC_APP_SECRET_TOKEN"):
        load({**GIVEN, "PIKE_ECONOMIC_APP_SECRET_TOKEN_FILE": str(file)})


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    absent = tmp_path / "nowhere"
    with pytest.raises(SettingsError) as caught:
        load({**GIVEN, "PIKE_ECONOMIC_APP_SECRET_TOKEN_FILE": str(absent)})
    assert str(caught.value) == (
        f"Settings are not usable: PIKE_ECONOMIC_APP_SECRET_TOKEN_FILE names {absent}, which cannot be read "
        "(No such file or directory)."
    )


def test_a_file_that_is_no_text_is_refused_without_telling_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"secret\xff")
    with pytest.raises(SettingsError, match="not UTF-8") as caught:
        load({**GIVEN, "PIKE_ECONOMIC_APP_SECRET_TOKEN_FILE": str(file)})
    assert "secret\\xff" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_same_setting_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    both = {"PIKE_ECONOMIC_APP_SECRET_TOKEN": "two", "PIKE_ECONOMIC_APP_SECRET_TOKEN_FILE": str(file)}
    with pytest.raises(SettingsError, match="are both set; keep one") as caught:
        load({**GIVEN, **both})
    assert "two" not in str(caught.value).replace("both", "")

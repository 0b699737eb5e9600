from pathlib import Path

import pytest

import settings
from settings import Settings, SettingsError

EXAMPLE = Path(__file__).parents[1] / ".env.example"


def test_the_example_names_every_setting_with_its_default() -> None:
    example = _example()
    assert list(example) == [name.upper() for name in Settings.__struct_fields__]
    assert settings.read(example) == Settings()


def test_the_example_explains_every_setting_on_the_line_above() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    above = {line.partition("=")[0]: lines[index - 1] for index, line in enumerate(lines) if _is_setting(line)}
    assert [name for name, line in above.items() if not line.startswith("# ")] == []


@pytest.mark.parametrize(
    ("environment", "name", "expected"),
    [
        ({}, "mode", "production"),
        ({"API_PORT": "9000"}, "api_port", 9000),
        ({"API_PORT": ""}, "api_port", 8000),
        ({"DATA_DIR": "/data"}, "data_dir", Path("/data")),
        ({"OPEN_JOBS_MAX": "0"}, "open_jobs_max", 0),
        ({"TOKEN_KEY": "k" * 32}, "token_key", "k" * 32),
        ({"HOME": "/home", "api_port": "1"}, "api_port", 8000),
    ],
)
def test_a_variable_sets_the_setting_of_its_name_unless_it_is_empty(
    environment: dict[str, str], name: str, expected: object
) -> None:
    assert getattr(settings.read(environment), name) == expected


@pytest.mark.parametrize(
    ("content", "variable", "expected"),
    [
        ("f" * 32, "", "f" * 32),
        ("f" * 32 + "\n", "", "f" * 32),
        ("f" * 32, "k" * 32, "f" * 32),
    ],
)
def test_a_file_holds_the_value_and_wins(tmp_path: Path, content: str, variable: str, expected: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    environment = {"TOKEN_KEY_FILE": str(file), "TOKEN_KEY": variable}
    assert settings.read(environment).token_key == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"API_PORT": "eighty"}, "api_port"),
        ({"API_PORT": "80.5"}, "api_port"),
        ({"MODE": "test"}, "mode"),
        ({"TOKEN_KEY": "k" * 31}, "TOKEN_KEY has 31 characters; it needs 32"),
        ({"INDEX_KEY": "k"}, "INDEX_KEY has 1 characters"),
        ({"SEAL_KEY": "k"}, "SEAL_KEY has 1 characters"),
    ],
)
def test_a_bad_value_is_refused_by_name(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.read(environment)


def test_what_a_process_needs_and_misses_is_named() -> None:
    with pytest.raises(SettingsError, match="not set: REDIS_URL, SEAL_KEY"):
        settings.require(Settings(token_key="k" * 32), "token_key", "redis_url", "seal_key")


def _example() -> dict[str, str]:
    lines = filter(_is_setting, EXAMPLE.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _is_setting(line: str) -> bool:
    return "=" in line and not line.startswith("#")

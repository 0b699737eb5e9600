from pathlib import Path

import msgspec
import pytest

import settings
from settings import Settings, SettingsError

KEY = "6f1c2ab94de1f0d87755e3a9c4b2d1e06f1c2ab94de1f0d87755e3a9c4b2d1e0"
PASSWORD = "b94de1f0d877"
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
        ({"API_PORT": "0"}, "api_port", 0),
        ({"API_PORT": "65535"}, "api_port", 65_535),
        ({"OPEN_JOBS_MAX": "0"}, "open_jobs_max", 0),
        ({"QUEUE_JOBS_MAX": "0"}, "queue_jobs_max", 0),
        ({"QUEUE_AGE_SECONDS_MAX": "0"}, "queue_age_seconds_max", 0),
        ({"BATCH_MAX": "10000"}, "batch_max", 10_000),
        ({"BALANCE_MAX": "1"}, "balance_max", 1),
        ({"TOKEN_KEY": KEY[:32]}, "token_key", KEY[:32]),
        ({"SEAL_KEY": KEY}, "seal_key", KEY),
        ({"SEAL_KEY": "éàüöäèñç" * 4}, "seal_key", "éàüöäèñç" * 4),
        ({"TOKEN_KEYS_ACCEPTED": f"{KEY} , {KEY[:40]}"}, "accepted_token_keys", [KEY, KEY[:40]]),
        ({"TOKEN_KEYS_ACCEPTED": ""}, "accepted_token_keys", []),
        ({"REDIS_URL": f"redis://:{PASSWORD}@queue:6379/0"}, "redis_url", f"redis://:{PASSWORD}@queue:6379/0"),
        ({"REDIS_URL": f"unix://:{PASSWORD}@/run/redis"}, "redis_url", f"unix://:{PASSWORD}@/run/redis"),
        ({"REDIS_URL": "redis://queue/0", "MODE": "development"}, "redis_url", "redis://queue/0"),
        ({"BROKER_URL": f"amqps://me:{PASSWORD}@rabbit/v"}, "broker_url", f"amqps://me:{PASSWORD}@rabbit/v"),
        ({"BROKER_URL": "amqp://rabbit/v", "MODE": "development"}, "broker_url", "amqp://rabbit/v"),
        ({"DATABASE_PREPARED_STATEMENTS": "false"}, "database_prepared_statements", False),
        ({"HOME": "/home", "api_port": "1"}, "api_port", 8000),
        ({"COHORT_PERCENT": "0"}, "cohort_percent", 0),
        ({"COHORT_PERCENT": ""}, "cohort_percent", 100),
        ({"COHORT_MEMBERS": "@example.com"}, "cohort_members", "@example.com"),
        ({"LOG_FORMAT": "text"}, "log_format", "text"),
        ({"LOG_LEVEL": "warning"}, "log_level", "warning"),
        ({"ACCESS_LOG": "false"}, "access_log", False),
        ({"WEBHOOK_RETRY_SECONDS": "0"}, "webhook_retry_seconds", "0"),
        ({"WEBHOOK_RETRY_SECONDS": "0, 604800"}, "webhook_retry_seconds", "0, 604800"),
        ({"WEBHOOK_TIMEOUT_SECONDS": "60"}, "webhook_timeout_seconds", 60),
        ({"WEBHOOK_ALLOW_LOOPBACK": "false"}, "webhook_allow_loopback", False),
        ({"WEBHOOK_ALLOW_LOOPBACK": "true", "MODE": "development"}, "webhook_allow_loopback", True),
        ({"TRUSTED_PROXIES": "10.0.0.0/8, ::1"}, "trusted_proxies", "10.0.0.0/8, ::1"),
        ({"REDIS_URL": "redis://:changeme@queue/0", "MODE": "development"}, "redis_url", "redis://:changeme@queue/0"),
        ({"FLOWER_PASSWORD": "tekana-5f3c-b1"}, "flower_password", "tekana-5f3c-b1"),
    ],
)
def test_a_variable_sets_the_setting_of_its_name_unless_it_is_empty(
    environment: dict[str, str], name: str, expected: object
) -> None:
    assert getattr(settings.read(environment), name) == expected


@pytest.mark.parametrize(
    ("content", "variable", "expected"),
    [
        (KEY, "", KEY),
        (KEY + "\n", "", KEY),
        (KEY, "k" * 32, KEY),
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
        ({"LOG_FORMAT": "xml"}, "log_format"),
        ({"LOG_LEVEL": "loud"}, "log_level"),
        ({"ACCESS_LOG": "sometimes"}, "access_log"),
        ({"API_PORT": "-1"}, "api_port"),
        ({"API_PORT": "65536"}, "api_port"),
        ({"API_DATABASE_CONNECTIONS": "0"}, "api_database_connections"),
        ({"API_DATABASE_CONNECTIONS": "1001"}, "api_database_connections"),
        ({"DATABASE_READ_AGE_SECONDS_MAX": "1"}, "database_read_age_seconds_max"),
        ({"DATABASE_READ_AGE_SECONDS_MAX": "3601"}, "database_read_age_seconds_max"),
        ({"FLOWER_PORT": "65536"}, "flower_port"),
        ({"ACCESS_TOKEN_SECONDS": "0"}, "access_token_seconds"),
        ({"ACCESS_TOKEN_SECONDS": "86401"}, "access_token_seconds"),
        ({"REFRESH_TOKEN_DAYS": "0"}, "refresh_token_days"),
        ({"REFRESH_TOKEN_DAYS": "3651"}, "refresh_token_days"),
        ({"OPEN_JOBS_MAX": "-1"}, "open_jobs_max"),
        ({"POSTS_PER_MINUTE_MAX": "-1"}, "posts_per_minute_max"),
        ({"LOGINS_PER_MINUTE_MAX": "-1"}, "logins_per_minute_max"),
        ({"REGISTRATIONS_PER_MINUTE_MAX": "-1"}, "registrations_per_minute_max"),
        ({"REGISTRATIONS_PER_MINUTE_MAX": "1000000001"}, "registrations_per_minute_max"),
        ({"COHORT_PERCENT": "-1"}, "cohort_percent"),
        ({"COHORT_PERCENT": "101"}, "cohort_percent"),
        ({"COHORT_PERCENT": "0.5"}, "cohort_percent"),
        ({"QUEUE_JOBS_MAX": "-1"}, "queue_jobs_max"),
        ({"QUEUE_AGE_SECONDS_MAX": "86401"}, "queue_age_seconds_max"),
        ({"BATCH_MAX": "0"}, "batch_max"),
        ({"BATCH_MAX": "10001"}, "batch_max"),
        ({"BALANCE_MAX": "0"}, "balance_max"),
        ({"BALANCE_MAX": "1000000000000001"}, "balance_max"),
        ({"TOKEN_KEY": "k" * 31}, "TOKEN_KEY has 31 bytes; it needs 32 to 64"),
        ({"TOKEN_KEY": "k" * 65}, "TOKEN_KEY has 65 bytes"),
        ({"TOKEN_KEYS_ACCEPTED": "k" * 32 + ",k"}, "TOKEN_KEYS_ACCEPTED has 1 bytes; it needs 32 to 64"),
        ({"TOKEN_KEYS_ACCEPTED": ",".join(["k" * 32] * 5)}, "TOKEN_KEYS_ACCEPTED has 5 keys; 4 are the most"),
        ({"INDEX_KEY": "k"}, "INDEX_KEY has 1 bytes"),
        ({"SEAL_KEY": "k"}, "SEAL_KEY has 1 bytes"),
        ({"SEAL_KEY": "é" * 33}, "SEAL_KEY has 66 bytes; it needs 32 to 64"),
        ({"REDIS_URL": "redis://queue:6379/0"}, "REDIS_URL has no password"),
        ({"REDIS_URL": "redis://user:@queue:6379/0"}, "REDIS_URL has no password"),
        ({"REDIS_URL": "redis://[queue:6379/0"}, "REDIS_URL is not an address"),
        ({"REDIS_URL": "amqp://user:pw@rabbit/vhost"}, "REDIS_URL begins with none of redis://"),
        ({"REDIS_URL": "redis+sentinel://:pw@host/queue"}, "REDIS_URL has no sentinel_password, .* production refuses"),
        ({"REDIS_URL": "redis+sentinel://:pw@host", "MODE": "development"}, "REDIS_URL names no master"),
        ({"BROKER_URL": "amqp://rabbit/vhost"}, "BROKER_URL has no password, which production refuses"),
        ({"BROKER_URL": "amqp://guest:guest@rabbit/vhost"}, "BROKER_URL has the password that RabbitMQ is installed"),
        ({"BROKER_URL": "kafka://rabbit"}, "BROKER_URL begins with none of"),
        ({"WEBHOOK_ALLOW_LOOPBACK": "true"}, "WEBHOOK_ALLOW_LOOPBACK lets callers reach this machine"),
        ({"WEBHOOK_ALLOW_LOOPBACK": "1", "MODE": "production"}, "WEBHOOK_ALLOW_LOOPBACK lets callers reach this"),
        ({"WEBHOOK_ALLOW_LOOPBACK": "perhaps"}, "webhook_allow_loopback"),
        ({"WEBHOOK_RETRY_SECONDS": "soon"}, "WEBHOOK_RETRY_SECONDS: comma-separated seconds"),
        ({"WEBHOOK_RETRY_SECONDS": "0,5,"}, "WEBHOOK_RETRY_SECONDS"),
        ({"WEBHOOK_RETRY_SECONDS": ","}, "WEBHOOK_RETRY_SECONDS"),
        ({"WEBHOOK_RETRY_SECONDS": "0;5"}, "WEBHOOK_RETRY_SECONDS"),
        ({"WEBHOOK_RETRY_SECONDS": "0,2.5"}, "WEBHOOK_RETRY_SECONDS"),
        ({"WEBHOOK_RETRY_SECONDS": "0,-5"}, "WEBHOOK_RETRY_SECONDS: .* up to 604800 s"),
        ({"WEBHOOK_RETRY_SECONDS": "0,604801"}, "WEBHOOK_RETRY_SECONDS"),
        ({"WEBHOOK_RETRY_SECONDS": ",".join(["5"] * 21)}, "WEBHOOK_RETRY_SECONDS: .* up to 20 waits"),
        ({"WEBHOOK_TIMEOUT_SECONDS": "0"}, "webhook_timeout_seconds"),
        ({"WEBHOOK_TIMEOUT_SECONDS": "61"}, "webhook_timeout_seconds"),
        ({"WEBHOOK_CONNECT_TIMEOUT_SECONDS": "0"}, "webhook_connect_timeout_seconds"),
        ({"WEBHOOK_DISABLE_AFTER_SECONDS": "0"}, "webhook_disable_after_seconds"),
        ({"WEBHOOK_DELIVERY_DAYS": "0"}, "webhook_delivery_days"),
        ({"WALLET_AMOUNT_PER_HOUR_MAX": "-1"}, "WALLET_AMOUNT_PER_HOUR_MAX: .* a number of minor units"),
        ({"CUSTOMER_AMOUNT_PER_DAY_MAX": "5,XXX:1"}, "CUSTOMER_AMOUNT_PER_DAY_MAX: .* XXX is no currency"),
        ({"EVENT_DAYS": "0"}, "event_days"),
        ({"EVENT_DAYS": "91"}, "EVENT_DAYS is 91 and WEBHOOK_DELIVERY_DAYS 30: .* at least 92"),
        ({"WEBHOOK_DELIVERY_DAYS": "31"}, "EVENT_DAYS is 92 .* at least 93"),
    ],
)
def test_a_bad_value_is_refused_by_name(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.read(environment)


def test_every_number_has_a_lowest_and_a_highest_value() -> None:
    struct = msgspec.inspect.type_info(Settings)
    assert isinstance(struct, msgspec.inspect.StructType)
    numbers = {field.name: field.type for field in struct.fields if isinstance(field.type, msgspec.inspect.IntType)}
    assert len(numbers) == 30
    assert [name for name, kind in numbers.items() if kind.ge is None or kind.le is None] == []


def test_what_a_process_needs_and_misses_is_named() -> None:
    with pytest.raises(SettingsError, match="not set: REDIS_URL, SEAL_KEY"):
        settings.require(Settings(token_key="k" * 32), "token_key", "redis_url", "seal_key")


def _example() -> dict[str, str]:
    lines = filter(_is_setting, EXAMPLE.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _is_setting(line: str) -> bool:
    return "=" in line and not line.startswith("#")

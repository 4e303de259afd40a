"""Where everything is and how much of it to use: one frozen tree read from ``ODH_…`` variables and ``.env``."""

from __future__ import annotations

import os
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from catalog.errors import InvalidSettings
from catalog.scopes import read_scopes

PREFIX = "ODH_"
REPOSITORY = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """The settings of one process; read once by an entry point and handed down."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    lake: Path = Field(Path("lake"), description="folder of the lake: ledger, catalogue, locks and, by default, data")
    portal_url: str = Field("https://www.data.gouv.fr", description="base address of the portal")
    portal_requests_per_second: float | None = Field(
        None, gt=0, description="pace towards the portal; default 2, and no limit on a loopback address"
    )
    http_retries: int = Field(4, ge=0, le=20, description="further tries after a transient failure")
    http_backoff_seconds: float = Field(0.5, ge=0, description="first wait between two tries; doubles each time")
    http_timeout_seconds: float = Field(30.0, gt=0, description="longest silence of a server")
    download_max_bytes: int = Field(5 * 1024**3, gt=0, description="largest file to download")
    download_timeout_seconds: float = Field(14400.0, gt=0, description="longest one download may take, tries and all")
    downloads_per_host: int = Field(
        2, ge=1, le=16, description="downloads at once from one server, by all processes of the lake"
    )
    schemas_url: str = Field(
        "https://schema.data.gouv.fr/schemas/schemas.json",
        description="catalogue of the Table Schemas resources declare",
    )
    raw_url: str | None = Field(None, description="raw zone: a folder or s3://bucket/prefix; default <lake>/raw")
    warehouse_url: str | None = Field(None, description="Iceberg data: a folder or s3://…; default <lake>/warehouse")
    catalog_url: str | None = Field(None, description="SQLAlchemy URL of the Iceberg catalogue; default SQLite")
    ledger_url: str | None = Field(None, description="SQLAlchemy URL of the ledger; default SQLite")
    s3_endpoint: str | None = Field(None, description="S3 endpoint, such as http://127.0.0.1:9000")
    s3_region: str = Field("us-east-1", description="S3 region")
    s3_access_key_id: str | None = Field(None, description="S3 access key")
    s3_secret_access_key: SecretStr | None = Field(None, description="S3 secret key")
    lock_timeout_seconds: float = Field(30.0, ge=0, description="how long to wait for another writer")
    personal_data_key: SecretStr | None = Field(
        None, min_length=16, max_length=64, description="secret of the hashes that stand for personal data; keep it"
    )
    serve_restricted: bool = Field(False, description="let the gateway serve raw tables of restricted feeds")
    release_days: int | None = Field(
        None, ge=1, description="days a release stays readable; the current one always does; default for ever"
    )
    report_days: int | None = Field(
        90, ge=1, description="days odh maintain leaves a validation report; the newest always stays"
    )
    audit_days: int | None = Field(365, ge=1, description="days odh maintain leaves a row of the gateway's audit")
    file_delay_days: float = Field(
        3.0, ge=0, description="how long odh maintain leaves a file that nothing names any more to those who read it"
    )
    serving_max_bytes: int = Field(
        20 * 1024**3, ge=0, description="disk for the copies of tables the gateway pages from; 0 for none"
    )
    alert_mail_to: str | None = Field(None, description="who gets alerts by mail; several with commas")
    alert_mail_from: str = Field("opendatahub@localhost", description="sender of these mails")
    alert_smtp_host: str = Field("localhost", description="mail server")
    alert_smtp_port: int = Field(25, ge=1, le=65535, description="its port")
    alert_smtp_security: Literal["none", "starttls", "tls"] = Field("none", description="none, starttls or tls")
    alert_smtp_user: str | None = Field(None, description="name to log in there with")
    alert_smtp_password: SecretStr | None = Field(None, description="password for it")
    alert_webhook_url: SecretStr | None = Field(
        None, description="address alerts are posted to as JSON: Slack, Mattermost, a Matrix bridge such as Tchap's"
    )
    alert_late_hours: float = Field(
        12.0, ge=0, description="how long after its schedule struck a feed may be without data before it is late"
    )
    alert_backlog_minutes: float = Field(
        15.0, ge=0, description="how long a pushed batch may wait for its release before somebody is told"
    )
    alert_docs_url: str = Field("docs/operations.md", description="page of runbooks that alerts link to")
    threads: int = Field(default_factory=lambda: os.cpu_count() or 2, ge=1, description="threads of DuckDB and dbt")
    memory_limit: str = Field(
        "4GB", pattern=r"^(?i:\d+(\.\d+)? *[KMGT]?i?B)$", description="memory DuckDB may use, such as 4GB"
    )
    dbt_project: Path = Field(REPOSITORY / "dbt_project", description="folder of the dbt project")
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="least level logged")
    environment: Literal["development", "production"] = Field(
        "development", description="production: the gateway refuses to start with open access or a weak secret"
    )
    api_host: str = Field("127.0.0.1", description="address the gateway listens on")
    api_port: int = Field(8000, ge=0, le=65535, description="port the gateway listens on")
    api_workers: int = Field(1, ge=1, le=64, description="processes that answer requests")
    api_stop_seconds: int = Field(60, ge=1, description="how long answers in flight may take to end when told to stop")
    api_access: Literal["auto", "open", "keys"] = Field(
        "auto", description="open: no key needed; keys: for all but api_public; auto: open in development on loopback"
    )
    api_public: str = Field(
        "staging:read curated:read", description="scopes of callers without a key, where access is by keys"
    )
    api_secret: SecretStr | None = Field(
        None,
        min_length=32,
        max_length=256,
        description="secret that signs cursors; default: they are checked, not signed",
    )

    api_rate: float | None = Field(
        None,
        ge=0,
        description="requests a second of one key or address; default 50, none where access is open; 0: none",
    )
    api_burst: int = Field(200, ge=1, description="requests one key or address may send at once")
    api_cors_origins: str = Field("", description="web origins whose pages may call the gateway, or *; default none")
    api_max_body_bytes: int = Field(32 * 1024**2, ge=1024, description="longest body of a request")
    health_release_hours: float | None = Field(
        None, gt=0, description="age of the last release from which /health fails; default: any age is well"
    )
    health_ingest_seconds: float = Field(
        300.0, gt=0, description="how long a pushed batch may wait to be drained until /health fails"
    )
    health_free_bytes: int = Field(256 * 1024**2, ge=0, description="free room on the lake's disk /health asks for")

    api_key: SecretStr | None = Field(None, description="key odh sql --url and odh dashboard send to a gateway")
    sql_timeout_seconds: float = Field(30.0, gt=0, description="longest a statement sent to POST /sql may take")
    sql_memory_bytes: int = Field(1024**3, ge=64 * 1024**2, description="memory a statement may use")
    sql_spill_bytes: int = Field(2 * 1024**3, ge=0, description="disk a statement may use for what memory cannot hold")
    sql_threads: int = Field(2, ge=1, description="threads of a statement")
    sql_max_rows: int = Field(100_000, ge=1, description="most rows a statement's answer has")
    sql_max_bytes: int = Field(100 * 1024**2, ge=1024, description="most bytes a statement's answer has")
    sql_concurrency: int = Field(2, ge=1, description="statements one process of the gateway runs at once")
    sql_queue: int = Field(16, ge=0, description="statements that may wait for their turn; others are answered 503")
    push_dir: Path | None = Field(None, description="local folder of the log of pushed records; default <lake>/push")
    push_flusher: bool = Field(True, description="let odh serve run odh drain --watch beside it")
    push_max_body_bytes: int = Field(10 * 1024**2, gt=0, description="largest body of a push")
    push_max_pending_bytes: int = Field(
        1024**3, gt=0, description="pushed bytes that may wait in the log; beyond, a push is answered 503"
    )
    push_wait_seconds: float = Field(
        60.0, gt=0, description="how long POST /ingest waits for the release; after that it answers 202"
    )
    push_receipt_days: int = Field(30, ge=1, description="days the receipts of released batches are kept")

    @field_validator("api_public")
    @classmethod
    def _are_scopes(cls, value: str) -> str:
        read_scopes(value)
        return value

    @property
    def is_open(self) -> bool:
        """Whether the gateway asks for no key."""
        if self.api_access != "auto":
            return self.api_access == "open"
        return self.environment == "development" and is_loopback_host(self.api_host)

    @property
    def api_pace(self) -> float | None:
        """Requests a second the gateway takes from one caller; ``None`` for no limit."""
        if self.api_rate is None:
            return None if self.is_open else 50.0
        return self.api_rate or None

    @property
    def raw_root(self) -> str:
        """Raw zone as an absolute local path or an ``s3://`` URL."""
        return _absolute(self.raw_url or str(self.lake / "raw"))

    @property
    def warehouse_root(self) -> str:
        """Iceberg warehouse as an absolute local path or an ``s3://`` URL."""
        return _absolute(self.warehouse_url or str(self.lake / "warehouse"))

    @property
    def push_log(self) -> Path:
        """Local folder of the log of pushed records."""
        return (self.push_dir or self.lake / "push").resolve()

    @property
    def catalog_database(self) -> str:
        """SQLAlchemy URL of the Iceberg catalogue."""
        return _database("ODH_CATALOG_URL", self.catalog_url, self.lake / "catalog.db")

    @property
    def ledger_database(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return _database("ODH_LEDGER_URL", self.ledger_url, self.lake / "ledger.db")

    @property
    def portal_pace(self) -> float | None:
        """Requests a second towards the portal; ``None`` for no limit."""
        if self.portal_requests_per_second is not None:
            return self.portal_requests_per_second
        return None if is_loopback(self.portal_url) else 2.0

    def as_environment(self) -> dict[str, str]:
        """These very settings as ``ODH_…`` variables, for a child process that runs in another folder."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values |= {"lake": self.lake.resolve(), "dbt_project": self.dbt_project.resolve()}
        values["push_dir"] = self.push_dir and self.push_log
        values["raw_url"] = self.raw_url and self.raw_root
        values["warehouse_url"] = self.warehouse_url and self.warehouse_root
        plain = {name: v.get_secret_value() if isinstance(v, SecretStr) else v for name, v in values.items()}
        return {PREFIX + name.upper(): str(value) for name, value in plain.items() if value is not None}

    @property
    def contracts(self) -> Path:
        """Local folder of the contracts odh wrote: what each column of a table without hand-written model is."""
        return self.lake.resolve() / "contracts"

    @property
    def generated_models(self) -> Path:
        """Local folder of the dbt models generated from the contracts."""
        return self.lake.resolve() / "models"

    @property
    def table_schemas(self) -> Path:
        """Local folder of Table Schema files: ``<name>/<version>/schema.json``, or any path a feed names."""
        return self.lake.resolve() / "schemas"

    @property
    def reports(self) -> Path:
        """Local folder of the validation reports, one JSON and one page a run."""
        return self.lake.resolve() / "reports"

    @property
    def scratch(self) -> Path:
        """Local folder for files on their way; safe to empty when no run is on."""
        return self.lake.resolve() / "tmp"

    @property
    def partial(self) -> Path:
        """Local folder for the first bytes of downloads that were cut, to be continued."""
        return self.lake.resolve() / "partial"

    @property
    def serving(self) -> Path:
        """Local folder of the copies of tables that the gateway reads; safe to remove when none serves."""
        return self.lake.resolve() / "serving"

    @property
    def spill(self) -> Path:
        """Local folder for what DuckDB cannot hold in memory."""
        return self.lake.resolve() / "spill"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings, refusing any ``ODH_`` name that does not exist.

    Raises:
        InvalidSettings: for an unknown name (with the nearest valid one) or a malformed value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name for name in {**dotenv_values(".env"), **os.environ} if name.upper().startswith(PREFIX)}
    for name in sorted(given):
        if name.upper() not in known:
            nearest = next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0)), "")
            raise InvalidSettings(f"Unknown setting {name}. Did you mean {nearest}? Unset it or correct its name.")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise InvalidSettings(f"{name}={first.get('input')!r}: {first['msg']}.") from error


def is_loopback(url: str) -> bool:
    """Whether a URL points at this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether a name or an address is that of this machine for itself alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _absolute(location: str) -> str:
    if "://" in location:
        return location.removeprefix("file://").rstrip("/") if location.startswith("file://") else location.rstrip("/")
    return str(Path(location).resolve())


def _database(setting: str, url: str | None, file: Path) -> str:
    if url is None:
        return f"sqlite:///{file.resolve()}"
    scheme, separator, rest = url.partition("://")
    full = f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else scheme + separator + rest
    try:
        sa.make_url(full).get_dialect()
    except (sa.exc.ArgumentError, ImportError) as error:  # not told as it is: it may hold a password
        raise InvalidSettings(
            f"{setting} is no URL of a known database, such as postgresql://user@host/odh."
        ) from error
    return full

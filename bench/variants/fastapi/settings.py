"""What the harness tells a server by its environment."""

from pydantic import Field
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    port: int = Field(validation_alias="PORT")
    origin: str = Field(validation_alias="BENCH_ORIGIN")
    # Requests that one client may send in a minute, and in an hour.
    limit: int = Field(validation_alias="BENCH_LIMIT")
    pool_size: int = Field(validation_alias="BENCH_POOL_SIZE")
    database_url: str | None = Field(default=None, validation_alias="BENCH_DATABASE_URL")
    jwt_secret: str = Field(validation_alias="BENCH_JWT_SECRET")
    jwt_issuer: str = Field(validation_alias="BENCH_JWT_ISSUER")
    jwt_audience: str = Field(validation_alias="BENCH_JWT_AUDIENCE")

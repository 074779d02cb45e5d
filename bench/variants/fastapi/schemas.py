"""What goes in and out; FastAPI validates the first and writes the second through them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, EmailStr, Field, PlainSerializer


def write_time(moment: datetime) -> str:
    """A time in UTC, to the millisecond, as every variant writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Greeting(BaseModel):
    message: str


class NewPerson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=3, max_length=50, pattern=r"^[a-zA-Z0-9_]+$")
    email: EmailStr = Field(max_length=254)


class Person(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    username: str
    email: str
    created_at: Annotated[datetime, PlainSerializer(write_time, return_type=str)]


class People(BaseModel):
    items: list[Person]

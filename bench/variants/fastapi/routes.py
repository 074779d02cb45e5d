"""The measured routes; those of the database are for a server that is given one."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from database import PersonRow, get_session
from schemas import Greeting, NewPerson, People, Person
from tokens import get_current_user

Id = Annotated[int, Path(ge=1)]
Session = Annotated[AsyncSession, Depends(get_session)]

people = APIRouter(prefix="/api/v1")
rows = APIRouter(prefix="/api/v1/rows")


def make_person(id: int, username: str = "ada_lovelace", email: str = "ada@example.org") -> Person:
    return Person(
        id=id, username=username, email=email, created_at=datetime(2026, 1, 31, 12, tzinfo=UTC)
    )


@people.get("/hello")
async def say_hello() -> Greeting:
    return Greeting(message="Hello, world")


@people.get("/people/{id}")
async def get_person(id: Id) -> Person:
    return make_person(id)


@people.post("/people", status_code=201)
async def create_person(body: NewPerson) -> Person:
    return make_person(43, body.username, body.email)


@people.get("/me")
async def get_me(user: Annotated[dict[str, Any], Depends(get_current_user)]) -> Person:
    return make_person(int(user["sub"]))


@rows.get("/{id}", response_model=Person)
async def get_row(id: Id, session: Session) -> PersonRow:
    found = await session.execute(select(PersonRow).where(PersonRow.id == id))
    row = found.scalar_one_or_none()
    if row is None:
        raise HTTPException(404, "There is no such person.")
    return row


@rows.get("", response_model=People)
async def list_rows(session: Session) -> dict[str, list[PersonRow]]:
    found = await session.execute(select(PersonRow).order_by(PersonRow.id).limit(20))
    return {"items": list(found.scalars().all())}

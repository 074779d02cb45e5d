"""
FastAPI with the layers of the guide that Strata rebuilds. A layer that is added later wraps those before it, so they
stand here from the inside out: the id and the log have to see refusals too.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

import routes
from database import open_engine, open_sessions
from logs import configure_logging
from middleware import (
    ContentValidationMiddleware,
    RateLimitMiddleware,
    RequestIDMiddleware,
    RequestLoggingMiddleware,
    SecurityHeadersMiddleware,
)
from settings import Settings


def create_app() -> FastAPI:
    settings = Settings()
    configure_logging()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.settings = settings
        if settings.database_url is None:
            yield
            return
        engine = open_engine(settings)
        app.state.sessions = open_sessions(engine)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(ContentValidationMiddleware)
    app.add_middleware(RateLimitMiddleware, per_minute=settings.limit, per_hour=settings.limit)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1"])
    app.add_middleware(CORSMiddleware, allow_origins=[settings.origin], allow_credentials=True)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestLoggingMiddleware)
    app.add_middleware(RequestIDMiddleware)

    app.include_router(routes.people)
    if settings.database_url is not None:
        app.include_router(routes.rows)
    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app,
        factory=True,
        host="127.0.0.1",
        port=Settings().port,
        # The fastest that uvicorn has.
        loop="uvloop",
        http="httptools",
        # The application writes both lines of a request itself.
        access_log=False,
        log_level="warning",
    )

"""The layers of the guide, each a BaseHTTPMiddleware as it has them."""

import time
from collections import defaultdict, deque
from uuid import uuid4

import structlog
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

logger = structlog.get_logger("http")


class RequestIDMiddleware(BaseHTTPMiddleware):
    """Takes the client's id of the request or makes one, and binds it to every log line."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request_id = request.headers.get("x-request-id") or str(uuid4())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = await call_next(request)
        response.headers["X-Request-ID"] = request_id
        return response


class RequestLoggingMiddleware(BaseHTTPMiddleware):
    """A line when the request begins and one when it ends; the time between goes into a header too."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        method, path = request.method, request.url.path
        started_at = time.perf_counter()
        logger.info("http.request.start", method=method, path=path, query=request.url.query)
        response = await call_next(request)
        duration_ms = round((time.perf_counter() - started_at) * 1000, 3)
        response.headers["X-Process-Time"] = f"{duration_ms:.3f}"
        logger.info(
            "http.request.complete",
            method=method,
            path=path,
            status_code=response.status_code,
            duration_ms=duration_ms,
        )
        return response


class SecurityHeadersMiddleware(BaseHTTPMiddleware):
    """Tells browsers what the answer must not be used for."""

    headers = {
        "Content-Security-Policy": "default-src 'self'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=()",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store, max-age=0",
    }

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(self.headers)
        return response


class RateLimitMiddleware(BaseHTTPMiddleware):
    """
    Two sliding windows for each address. The times of its requests are kept in the order in which they came, so that
    those that are over are taken from one end: what a request costs does not grow with the limit, as it would in a
    list that is filtered.
    """

    def __init__(self, app: ASGIApp, per_minute: int, per_hour: int) -> None:
        super().__init__(app)
        self.windows = [(60.0, per_minute, defaultdict(deque)), (3600.0, per_hour, defaultdict(deque))]
        self.next_cleanup = time.monotonic() + 60

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        now = time.monotonic()
        if now >= self.next_cleanup:
            self.forget_idle_clients(now)
        address = request.client.host if request.client else "unknown"
        remaining = []
        for seconds, limit, times_of in self.windows:
            times = times_of[address]
            while times and times[0] <= now - seconds:
                times.popleft()
            if len(times) >= limit:
                retry_after = str(int(times[0] + seconds - now) + 1)
                return JSONResponse(
                    {"detail": "Too many requests."}, status_code=429, headers={"Retry-After": retry_after}
                )
            remaining.append(limit - len(times) - 1)
        for _, _, times_of in self.windows:
            times_of[address].append(now)
        response = await call_next(request)
        response.headers["X-RateLimit-Limit"] = str(self.windows[0][1])
        response.headers["X-RateLimit-Remaining"] = str(min(remaining))
        return response

    def forget_idle_clients(self, now: float) -> None:
        for seconds, _, times_of in self.windows:
            idle = [address for address, times in times_of.items() if not times or times[-1] <= now - seconds]
            for address in idle:
                del times_of[address]
        self.next_cleanup = now + 60


class ContentValidationMiddleware(BaseHTTPMiddleware):
    """Takes bodies only of the types and the size that an API call may have."""

    max_bytes = 1024 * 1024
    content_types = {"application/json"}

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if "\x00" in request.url.path:
            return JSONResponse({"detail": "The path is not valid."}, status_code=400)
        if request.method in ("POST", "PUT", "PATCH"):
            length = request.headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > self.max_bytes:
                return JSONResponse({"detail": "The body is too large."}, status_code=413)
            content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
            if content_type not in self.content_types:
                return JSONResponse({"detail": "Send JSON."}, status_code=415)
        return await call_next(request)

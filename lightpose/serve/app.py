"""The paths of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from lightpose import __version__
from lightpose.errors import LightposeError
from lightpose.serve.answers import answer_of, content_of, json_response, problem_response
from lightpose.serve.bodies import Picture, read_batch, read_picture
from lightpose.serve.clips import answer_clip
from lightpose.serve.describe import TITLE, docs_page, models_of
from lightpose.serve.guard import App, Guard
from lightpose.serve.options import Asked, BatchOptions, ClipOptions, ImageOptions
from lightpose.serve.page import Answer, network_answers, page_answers
from lightpose.serve.problems import ProblemError, busy, problem_of, problem_of_validation
from lightpose.serve.schemas import (
    BATCH,
    BATCH_ANSWERS,
    CLIP,
    CLIP_ANSWERS,
    FIGURES,
    IMAGE,
    IMAGE_ANSWERS,
    LIVE,
    MODELS,
    NETWORKS,
    READY,
)
from lightpose.serve.service import GoneError, Service, unless_gone
from lightpose.serve.streams import answer_stream

__all__ = ["make_app"]

_GROUP = 8
"""Images of one batch request that wait at a time: others get their turn in between."""


def make_app(service: Service) -> App:
    """The server as an ASGI application, behind its guard."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(title=TITLE, version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    _add_errors(app)
    _add_poses(app, service)
    _add_facts(app, service)
    for path, answer in page_answers(service.settings.page).items():
        app.add_api_route(path, _route(answer), include_in_schema=False)
    return Guard(app, service, [getattr(route, "path", "") for route in app.routes])


def _add_errors(app: FastAPI) -> None:
    """What goes wrong becomes a problem document."""
    gone = (GoneError, ClientDisconnect)

    async def problem(_: Request, error: Exception) -> Response:
        if isinstance(error, ProblemError):
            return problem_response(error)
        if isinstance(error, LightposeError):
            return problem_response(problem_of(error))
        if isinstance(error, RequestValidationError):
            return problem_response(problem_of_validation(error.errors(), ["those that /docs lists"]))
        if isinstance(error, gone):
            return Response(status_code=499)
        if isinstance(error, HTTPException):
            told = {
                404: "there is nothing here; /docs lists what there is",
                405: "use another method; see /docs",
            }
            detail = told.get(error.status_code, "this cannot be answered; see /docs")
            return problem_response(ProblemError(error.status_code, detail, error.headers))
        return problem_response(ProblemError(500, "something unforeseen went wrong in the server; its log says what"))

    kinds = (
        ProblemError,
        LightposeError,
        RequestValidationError,
        GoneError,
        ClientDisconnect,
        HTTPException,
        Exception,
    )
    for kind in kinds:
        app.add_exception_handler(kind, problem)


def _add_poses(app: FastAPI, service: Service) -> None:
    """What finds people."""

    @app.post("/v1/poses", responses=IMAGE_ANSWERS, openapi_extra=IMAGE, tags=["poses"])
    async def poses(request: Request, options: Annotated[ImageOptions, Query()]) -> Response:
        """Find the people of an image: its bytes as the body, a form with a file, or JSON with base64."""
        picture, wanted = await read_picture(request, options)
        async with service.in_time():
            return answer_of(await unless_gone(request, service.find(picture, wanted)), wanted)

    @app.post("/v1/poses/batch", responses=BATCH_ANSWERS, openapi_extra=BATCH, tags=["poses"])
    async def poses_of_batch(request: Request, options: Annotated[BatchOptions, Query()]) -> Response:
        """Find the people of up to 64 images. An image that cannot be used gets a problem; the others are answered."""
        pictures, wanted = await read_batch(request, options)
        service.room.check()
        results = await unless_gone(request, _each(service, pictures, wanted))
        return json_response({"results": results})

    @app.post("/v1/videos", response_class=Response, responses=CLIP_ANSWERS, openapi_extra=CLIP, tags=["poses"])
    async def videos(request: Request, options: Annotated[ClipOptions, Query()]) -> Response:
        """Find the people of a clip, a line of JSON for each frame, as soon as it is done."""
        return await answer_clip(service, await request.body(), options)

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await answer_stream(service, websocket)


async def _each(service: Service, pictures: Sequence[Picture], wanted: Asked) -> list[dict[str, Any]]:
    """What is found in each image, or the problem that it has."""
    turns = asyncio.Semaphore(_GROUP)

    async def one(number: int, picture: Picture) -> dict[str, Any]:
        try:
            async with turns:
                found = await service.find(picture, wanted, patient=True)
            return {"name": picture.name, "status": 200, "poses": content_of(found.poses, wanted, number)}
        except ProblemError as error:
            problem = error
        except LightposeError as error:
            problem = problem_of(error)
        return {"name": picture.name, "status": problem.status, "problem": problem.document()}

    tasks = [asyncio.ensure_future(one(number, picture)) for number, picture in enumerate(pictures)]
    limit_s = service.settings.timeout_s * -(-len(tasks) // _GROUP)
    try:
        await asyncio.wait(tasks, timeout=limit_s)
    finally:
        late = [task for task in tasks if task.cancel()]
        await asyncio.gather(*late, return_exceptions=True)
    slow = busy(f"there was no time for this image within {limit_s:g} s; send fewer at a time")
    return [
        {"name": picture.name, "status": slow.status, "problem": slow.document()} if task.cancelled() else task.result()
        for picture, task in zip(pictures, tasks, strict=True)
    ]


def _add_facts(app: FastAPI, service: Service) -> None:
    """What says how the server is."""

    @app.get("/v1/models", responses=MODELS, tags=["server"])
    async def models() -> Response:
        """The network and the detector, with the skeleton, the input, the decoder and the SHA-256 of each."""
        service.check_ready()
        return json_response(models_of(service.estimator))

    @app.get("/health/live", responses=LIVE, tags=["server"])
    async def live() -> Response:
        """Whether the server runs."""
        return json_response({"status": "live"})

    @app.get("/health/ready", responses=READY, tags=["server"])
    async def ready() -> Response:
        """Whether requests should be sent here: after a first inference, and until the server is about to end."""
        service.check_ready()
        return json_response({"status": "ready"})

    @app.get("/metrics", response_class=Response, responses=FIGURES, tags=["server"])
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/networks", responses=NETWORKS, tags=["server"])
    async def networks(request: Request) -> Response:
        """What a browser needs to run the network and the detector itself, as the page does."""
        return of_networks["/v1/networks"](request)

    of_networks = network_answers(service.estimator)
    for path, answer in of_networks.items():
        if path != "/v1/networks":
            app.add_api_route(path, _route(answer), include_in_schema=False)
    page = Response(docs_page(app.openapi()), media_type="text/html")
    app.add_api_route("/docs", _route(lambda _: page), include_in_schema=False)


def _route(answer: Answer) -> Any:
    async def give(request: Request) -> Response:
        return answer(request)

    return give

"""The handlers that an application builds from routes, and when it reads their signatures."""

from litestar import HttpMethod, get, route
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from prism.kit.http import Api
from prism.kit.routes import HandlerRoutes, LazyRouteHandler, RouteMiddleware, Routes


def user_of(name: NamedDependency[str]) -> str:
    return f"{name}, asked"


@get("/plain", sync_to_thread=False)
def plain(other: NamedDependency[str]) -> str:
    return other


@get("/own", dependencies={"user": Provide(user_of, sync_to_thread=False)}, sync_to_thread=False)
def own(user: NamedDependency[str]) -> str:
    return user


@get("/both", sync_to_thread=False)
def both(name: NamedDependency[str], other: NamedDependency[str]) -> str:
    return f"{name} {other}"


@route("/plain", http_method=[HttpMethod.POST, HttpMethod.DELETE], sync_to_thread=False)
def more() -> None:
    return None


@route("/all", http_method=[HttpMethod.OPTIONS, HttpMethod.POST], sync_to_thread=False)
def every() -> None:
    return None


@get("/all", sync_to_thread=False)
def some() -> None:
    return None


@get(["/two/{name:str}", "/two/{name:str}/{rest:path}"], sync_to_thread=False)
def two(name: FromPath[str]) -> str:
    return name


ROUTES = [Routes("/a", [plain, own, both, more, every, some], tags=["a"])]


def giving(word: str) -> Provide:
    def give() -> str:
        return word

    return Provide(give, sync_to_thread=False)


def built() -> Api:
    providers = {name: giving(name) for name in ("name", "other", "unused")}
    return Api(ROUTES, dependencies=providers, openapi_config=None)


def handlers(app: Api) -> dict[tuple[str, str], LazyRouteHandler]:
    return {
        (method, route.path): handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if isinstance(handler, LazyRouteHandler)
    }


def test_handler_has_only_the_dependencies_that_it_needs():
    handlers_by_path = handlers(built())
    assert set(handlers_by_path["GET", "/a/plain"].resolve_dependencies()) == {"other"}
    assert set(handlers_by_path["GET", "/a/own"].resolve_dependencies()) == {"name", "user"}
    assert set(handlers_by_path["POST", "/a/plain"].resolve_dependencies()) == set()
    assert handlers_by_path["GET", "/a/own"].resolve_tags() == ["a"]


def test_applications_share_no_handlers():
    first, second = handlers(built()), handlers(built())
    assert first.keys() == second.keys()
    assert not {*map(id, first.values())} & {*map(id, second.values())}
    assert plain.dependencies is None


def test_signature_is_read_at_the_first_request():
    with TestClient(app := built()) as client:
        assert not any(handler.is_complete for handler in handlers(app).values())
        for _ in range(2):
            assert client.get("/a/own").text == "name, asked"
    read = {at for at, handler in handlers(app).items() if handler.is_complete}
    assert read == {("GET", "/a/own")}


def test_dependencies_are_resolved_one_after_the_other():
    app = built()
    [arguments] = [
        arguments
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path == "/a/both"
        for method, (_, arguments) in route.route_handler_map.items()
        if method == "GET"
    ]
    assert [len(batch) for batch in arguments.dependency_batches] == [1, 1]
    with TestClient(app) as client:
        assert client.get("/a/both").text == "name other"


def test_openapi_description_reads_all_signatures():
    app = Api(ROUTES, {"name": giving("name"), "other": giving("other")})
    description = app.openapi_schema.to_schema()["paths"]["/a/plain"]
    assert list(description["get"]["responses"]["200"]["content"]) == ["text/plain"]
    described = {
        at for at, handler in handlers(app).items() if handler.resolve_include_in_schema()
    }
    assert described == {at for at, handler in handlers(app).items() if handler.is_complete}


def test_openapi_description_changes_no_signature():
    """The description adds path parameters that the function lacks; requests do not need them."""
    app = Api([Routes("/", [two])], {})
    assert "/two/{name}/{rest}" in app.openapi_schema.to_schema()["paths"]
    with TestClient(app) as client:
        assert client.get("/two/one").text == "one"
        assert client.get("/two/one/and/more").text == "one"


def test_options_shares_a_handler_unless_a_route_has_its_own():
    handlers_by_path = handlers(built())
    assert handlers_by_path["OPTIONS", "/a/plain"] is handlers_by_path["OPTIONS", "/a/own"]
    assert handlers_by_path["OPTIONS", "/a/all"] is handlers_by_path["POST", "/a/all"]


def test_middleware_is_put_before_the_routes_that_it_concerns():
    passed: list[str] = []
    seen: list[HandlerRoutes] = []

    def noting(app):
        async def note(scope, receive, send):
            passed.append(scope["path"])
            await app(scope, receive, send)

        return note

    def is_two(routes: HandlerRoutes) -> bool:
        seen.append(routes)
        return "/b/two/{name}/{rest}" in routes.paths and routes.methods == {"GET"}

    routes = [Routes("/a", [more, plain]), Routes("/b", [two])]
    app = Api(routes, {"other": giving("other")}, middleware=[RouteMiddleware(noting, is_two)])
    with TestClient(app) as client:
        assert client.get("/a/plain").text == "other"
        assert client.delete("/a/plain").is_success
        assert client.get("/b/two/one/and/more").text == "one"
    assert passed == ["/b/two/one/and/more"]
    assert {routes.addresses for routes in seen} == {
        frozenset({"OPTIONS /a/plain"}),
        frozenset({"DELETE /a/plain", "POST /a/plain"}),
        frozenset({"GET /a/plain"}),
        frozenset({"OPTIONS /b/two/{name}", "OPTIONS /b/two/{name}/{rest}"}),
        frozenset({"GET /b/two/{name}", "GET /b/two/{name}/{rest}"}),
    }

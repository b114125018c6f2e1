"""What an application makes of routes: handlers of its own, and no more than it needs."""

from litestar import HttpMethod, get, route
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from prism.kit.http import Api
from prism.kit.routes import OwnHandler, Routes


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


def handlers(app: Api) -> dict[tuple[str, str], OwnHandler]:
    return {
        (method, route.path): handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if isinstance(handler, OwnHandler)
    }


def test_a_handler_has_the_dependencies_that_it_or_its_own_ask_for():
    handlers_by_path = handlers(built())
    assert set(handlers_by_path["GET", "/a/plain"].resolve_dependencies()) == {"other"}
    assert set(handlers_by_path["GET", "/a/own"].resolve_dependencies()) == {"name", "user"}
    assert set(handlers_by_path["POST", "/a/plain"].resolve_dependencies()) == set()
    assert handlers_by_path["GET", "/a/own"].resolve_tags() == ["a"]


def test_two_applications_share_no_handler():
    first, second = handlers(built()), handlers(built())
    assert first.keys() == second.keys()
    assert not {*map(id, first.values())} & {*map(id, second.values())}
    assert plain.dependencies is None


def test_a_signature_is_read_when_it_is_first_asked_for():
    with TestClient(app := built()) as client:
        assert not any(handler.is_complete for handler in handlers(app).values())
        for _ in range(2):
            assert client.get("/a/own").text == "name, asked"
    read = {at for at, handler in handlers(app).items() if handler.is_complete}
    assert read == {("GET", "/a/own")}


def test_dependencies_are_found_one_after_the_other():
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


def test_the_description_reads_all_signatures():
    app = Api(ROUTES, {"name": giving("name"), "other": giving("other")})
    description = app.openapi_schema.to_schema()["paths"]["/a/plain"]
    assert list(description["get"]["responses"]["200"]["content"]) == ["text/plain"]
    described = {
        at for at, handler in handlers(app).items() if handler.resolve_include_in_schema()
    }
    assert described == {at for at, handler in handlers(app).items() if handler.is_complete}


def test_the_description_changes_no_signature():
    """It adds what of the path a function does not take: a request would have to give it."""
    app = Api([Routes("/", [two])], {})
    assert "/two/{name}/{rest}" in app.openapi_schema.to_schema()["paths"]
    with TestClient(app) as client:
        assert client.get("/two/one").text == "one"
        assert client.get("/two/one/and/more").text == "one"


def test_options_has_a_handler_for_all_paths_where_no_route_answers_it():
    handlers_by_path = handlers(built())
    assert handlers_by_path["OPTIONS", "/a/plain"] is handlers_by_path["OPTIONS", "/a/own"]
    assert handlers_by_path["OPTIONS", "/a/all"] is handlers_by_path["POST", "/a/all"]

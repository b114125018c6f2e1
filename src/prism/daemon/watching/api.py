"""`/metrics` over HTTP."""

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency

from prism.access.model import current
from prism.daemon.watching.metrics import Metrics
from prism.kit.stream import readers_of


@get("/metrics", sync_to_thread=True, tags=["daemon"], media_type="text/plain")
def show_metrics(
    request: Request[object, object, State], metrics: NamedDependency[Metrics]
) -> Response[bytes]:
    """The numbers of this daemon in the format of Prometheus; money for the operator only."""
    accept, readers = request.headers.get("accept", ""), readers_of(request.app.state)
    text, media_type = metrics.text(accept, readers, with_money=current().operator)
    return Response(text, media_type=media_type, headers={"Cache-Control": "no-store"})

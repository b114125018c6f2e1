"""The real daemon, which waits shorter before it sends and repeats notices."""

from datetime import timedelta

from prism.daemon.main import run
from prism.kit import reconcile
from prism.notices import plan, reconciler, writer
from prism.settings import Settings

if __name__ == "__main__":
    moment = timedelta(milliseconds=200)
    plan.QUIET_BEFORE_MAIL = plan.BETWEEN_MAILS = moment
    vars(writer)["QUIET_BEFORE_MAIL"] = moment
    plan.RETRY_SECONDS = (0.2,)  # type: ignore[assignment]
    reconciler.COLLECT_EVERY = moment
    reconcile.RETRY = reconcile.RETRY_MOST = moment
    raise SystemExit(run(Settings.read()))

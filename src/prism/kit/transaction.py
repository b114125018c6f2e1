"""The types of an open transaction and of a consistent read, for the pure layer.

They are for the type checker only: at run time the pure layer loads no database.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection as Rows

    from prism.kit.db import Tx
else:
    Rows = Tx = Any

__all__ = ["Rows", "Tx"]

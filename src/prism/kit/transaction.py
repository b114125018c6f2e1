"""What the pure layer calls an open transaction and a consistent look.

They are names for the type checker: at run time the pure layer loads no database.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection as Rows

    from prism.kit.db import Tx
else:
    Rows = Tx = Any

__all__ = ["Rows", "Tx"]

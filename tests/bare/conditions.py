"""The conditions under which Prism is tried: what a machine has, who uses it, and where."""

from tests.bare.pairwise import Row, covering

WITH = ("with", "without")
FACTORS = {
    "user": ("root", "user"),
    **dict.fromkeys(("bubblewrap", "passt", "node", "npm", "postgresql", "ip"), WITH),
    **dict.fromkeys(("user namespaces", "CAP_SYS_ADMIN", "/usr/sbin on PATH"), WITH),
    "filesystem": ("ext4", "overlayfs", "tmpfs"),
    "umask": ("022", "027", "077"),
    "locale": ("C.UTF-8", "C"),
    "path": ("plain", "space", "private"),
    "installation": ("wheel", "source"),
}
BARE_ROOT: Row = {
    **dict.fromkeys(FACTORS, "without"),
    **dict.fromkeys(("user namespaces", "CAP_SYS_ADMIN", "/usr/sbin on PATH"), "with"),
    **{"user": "root", "filesystem": "ext4", "umask": "022", "locale": "C.UTF-8"},
    **{"path": "private", "installation": "wheel"},
}
"""What most people begin with: a container, or a machine that somebody has just rented."""
ROWS = covering(FACTORS, [BARE_ROOT])
IN_MAKE_TEST = 3
"""The first rows: more than half of all pairs occur in them."""

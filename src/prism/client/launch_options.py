"""The options of a launch."""

from typing import Any, Literal, TypedDict

from prism.templates.model import Size

DiskType = Literal["gp3", "gp2", "io2", "st1"]


class LaunchOptions(TypedDict, total=False):
    """The options of a launch; the template and the profile have the defaults."""

    size: Size
    instance_type: str
    profile: str
    region: str
    spot: bool
    open_ports: bool
    unlimited: bool
    disk_gb: int
    disk_type: DiskType
    project: str
    budget: str
    parameters: dict[str, Any]
    volumes: tuple[str, ...]
    ttl_hours: float
    idle_profile: str
    hibernation: bool
    restart: bool
    from_snapshot: str
    owner: str
    max_hourly_rate: float

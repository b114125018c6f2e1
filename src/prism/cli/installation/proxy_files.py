"""The configuration of Caddy and nginx in front of a shared daemon.

Both pass on `Host`, WebSockets and bodies of any size as they come, and say who the client is and
how it came. What clients invent in such headers is replaced or removed.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

HEADING = "# Made by `prism team setup`, which writes it anew."


class ProxiedDaemon(NamedTuple):
    """A shared daemon: its public address, and its port on this computer."""

    url: str
    apps_domain: str
    port: int
    certificate: str = ""
    key: str = ""
    log: str = "/var/log/nginx/prism.log"

    @property
    def names(self) -> tuple[str, ...]:
        """The host names that the proxy answers to."""
        host = urlsplit(self.url).hostname or ""
        return (host, f"*.{self.apps_domain}") if self.apps_domain else (host,)

    @property
    def public_port(self) -> int:
        """The port that browsers use."""
        return urlsplit(self.url).port or 443


def caddyfile(daemon: ProxiedDaemon) -> str:
    """The configuration of Caddy, which gets a certificate by itself if it is given none."""
    suffix = "" if daemon.public_port == 443 else f":{daemon.public_port}"
    sites = ", ".join(f"https://{name}{suffix}" for name in daemon.names)
    tls = f"\ttls {daemon.certificate} {daemon.key}\n" if daemon.certificate else ""
    return (
        f"{HEADING}\n"
        f"{sites} {{\n"
        f"{tls}"
        f"\treverse_proxy 127.0.0.1:{daemon.port} {{\n"
        f"\t\tflush_interval -1\n"
        f"\t\theader_up -Forwarded\n"
        f"\t\theader_up -X-Forwarded-Host\n"
        f"\t}}\n"
        f"}}\n"
    )


def nginx_conf(daemon: ProxiedDaemon) -> str:
    """The configuration of nginx, for `sites-enabled`; its log has no queries with codes."""
    names, port = " ".join(daemon.names), daemon.public_port
    led_on = (
        f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name {names};\n"
        f"    return 301 https://$host$request_uri;\n}}\n"
    )
    return f"""{HEADING}
map $http_upgrade $prism_connection {{
    default upgrade;
    ''      '';
}}
log_format prism '$remote_addr [$time_local] "$request_method $host$uri" $status $body_bytes_sent';
server {{
    listen {port} ssl;
    listen [::]:{port} ssl;
    server_name {names};
    ssl_certificate {daemon.certificate};
    ssl_certificate_key {daemon.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    access_log {daemon.log} prism;
    client_max_body_size 0;
    large_client_header_buffers 8 16k;
    location / {{
        proxy_pass http://127.0.0.1:{daemon.port};
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host '';
        proxy_set_header Forwarded '';
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $prism_connection;
    }}
}}
{led_on if port == 443 else ""}"""

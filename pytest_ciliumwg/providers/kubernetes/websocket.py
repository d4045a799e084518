"""Target, credentials, TLS settings and proxy of a WebSocket connection to the API server."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WebSocketTarget:
    """All that opening a WebSocket takes."""

    url: str
    headers: tuple[str, ...]
    tls: Mapping[str, Any]
    proxy: Mapping[str, Any]


def tls_options(configuration: Any) -> dict[str, Any]:
    """The client library's TLS settings, in the words of the WebSocket library."""
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED}
    if not configuration.verify_ssl:
        options = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    elif configuration.assert_hostname is not None:
        options["check_hostname"] = configuration.assert_hostname
    wanted = {
        "ca_certs": configuration.ssl_ca_cert if configuration.verify_ssl else None,
        "certfile": configuration.cert_file,
        "keyfile": configuration.key_file,
        "server_hostname": configuration.tls_server_name,
    }
    return options | {name: value for name, value in wanted.items() if value}

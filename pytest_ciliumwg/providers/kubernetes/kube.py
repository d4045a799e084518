"""The Kubernetes API, as far as this package needs it. Nothing else imports `kubernetes`, and it does so late.

Objects are decoded JSON, as the API server sent it: the parsers of `observe` read them, and no server can be too old
or too new for a class of the client library.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.kubernetes import credential_plugin
from pytest_ciliumwg.providers.kubernetes.contact import Contact
from pytest_ciliumwg.providers.kubernetes.errors import ApiServer
from pytest_ciliumwg.providers.kubernetes.objects import JSON, Object, Objects
from pytest_ciliumwg.providers.kubernetes.retry import RetryPolicy, retried
from pytest_ciliumwg.providers.kubernetes.websocket import WebSocketTarget, tls_options
from pytest_ciliumwg.redaction import remember

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

_RENEWED = 1.0
"""Seconds between two looks at whether credentials have to be renewed."""
_CONNECTIONS = 40
"""At least as many as there are threads that ask at once."""
_LOCKED = 2.0
"""Seconds for which the lock of a pool is held at most by a thread that goes on."""


class Kube(Objects):
    """One API server with one identity; may be used by many threads."""

    def __init__(self, configuration: Configuration, api_server: ApiServer, retry_policy: RetryPolicy) -> None:
        from kubernetes.client import ApiClient

        # The library would repeat and wait on its own, as long as the server says.
        configuration.retries = False
        configuration.connection_pool_maxsize = _CONNECTIONS
        hook: Callable[[Configuration], None] | None = configuration.refresh_api_key_hook
        if hook is not None:
            configuration.refresh_api_key_hook = now_and_then(hook)  # type: ignore[assignment]
        self._configuration = configuration
        remember(filter(None, (*configuration.api_key.values(), configuration.password)))
        try:
            self._client: ApiClient = ApiClient(configuration)
        except Exception as error:  # urllib3's, of what a proxy's address says
            raise ProviderError(
                f"the proxy for the API server {api_server.host} of {api_server.source} cannot be used "
                f"({_flat(error)}): proxy-url in the kubeconfig, HTTPS_PROXY and HTTP_PROXY take http://HOST:PORT"
            ) from None
        self._credentials = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self.contact = Contact()
        self.api_server = api_server
        self.retry_policy = retry_policy

    def hurried(self, retry_policy: RetryPolicy) -> Kube:
        """The same API server with another retry policy; it is closed together with this one."""
        other = copy.copy(self)
        other.retry_policy = retry_policy
        return other

    def request(
        self,
        doing: str,
        method: str,
        where: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Object | None = None,
        accept: str = JSON,
        content: str = JSON,
    ) -> Object:
        """Send one request, again while that may help, and return the decoded answer.

        Raises:
            KubeError: it failed for good.
        """
        headers = {"Accept": accept, "Content-Type": content}
        once = partial(self._once, doing, method, where, query, body, headers)
        return retried(self.retry_policy, once, until=self.contact.patience())

    def _once(
        self,
        doing: str,
        method: str,
        where: str,
        query: Sequence[tuple[str, str]],
        body: Object | None,
        headers: dict[str, str],
    ) -> Object:
        try:
            with self._credentials:
                # Building a request may renew an expired token.
                request = self._client.param_serialize(
                    method, where, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
                )
            url, merged = request[1], request[2]
            seconds = self.contact.within(self.retry_policy.request)
            with self._quiet():
                answer = self._client.call_api(method, url, merged, body, _request_timeout=seconds)
                self.contact.answered()
                content = answer.read()  # type: ignore[no-untyped-call]
        except Exception as error:  # urllib3, ssl and credential plugins each have their own
            self.contact.missed()
            raise self.api_server.silent(doing, error) from None
        except BaseException:
            self._free_connections()
            raise
        if not 200 <= answer.status <= 299:
            raise self.api_server.answered(doing, answer.status, dict(answer.headers), content)
        try:
            decoded = json.loads(content)
        except ValueError:
            decoded = None
        if not isinstance(decoded, Mapping):
            raise self.api_server.nonsense(doing)
        return decoded

    def _free_connections(self) -> None:
        """Release what a request that was interrupted holds of the connections.

        Ctrl-C between the lock of their pool and the `try` that would release it leaves it locked, and what has to be
        undone, and the end of Python too, would wait for it for ever. Nobody holds it for long.
        """
        pools = self._client.rest_client.pool_manager.pools
        for key in pools.keys():  # noqa: SIM118 - it refuses to be iterated over
            connections = pools[key].pool
            if connections is not None:
                connections.mutex.acquire(timeout=_LOCKED)
                with contextlib.suppress(RuntimeError):  # it was released at that very moment
                    connections.mutex.release()

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Suppress warnings about TLS without verification, which the kubeconfig asks for.

        Where warnings are errors no request would work. Warning filters belong to the whole process, so such requests
        go one at a time.
        """
        if self._configuration.verify_ssl:
            yield
            return
        with self._one_at_a_time, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
            yield

    def socket_target(self, where: str, query: Sequence[tuple[str, str]]) -> WebSocketTarget:
        """Where and how to open a WebSocket."""
        from kubernetes.stream.ws_client import websocket_proxycare

        configuration = self._configuration
        with self._credentials:
            request = self._client.param_serialize(
                "GET", where, query_params=list(query), header_params={}, auth_settings=["BearerToken"]
            )
        url, headers = request[1], request[2]
        proxied = bool(configuration.proxy or configuration.proxy_headers)
        return WebSocketTarget(
            url="ws" + url.removeprefix("http"),
            headers=tuple(f"{name}: {value}" for name, value in headers.items() if name.lower() == "authorization"),
            tls=tls_options(configuration),
            proxy=websocket_proxycare({}, configuration, url, headers) if proxied else {},  # type: ignore[no-untyped-call]
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call]


def now_and_then(renew: Callable[[Configuration], None]) -> Callable[[Configuration], None]:
    """The library's hook that renews credentials a minute or more before they expire, called once a second at most.

    It sets them, and reads all of the environment for proxies, before each request, which takes a tenth of its time.
    """
    due = 0.0

    def renewed(configuration: Configuration) -> None:
        nonlocal due
        if time.monotonic() >= due:
            renew(configuration)
            configuration.refresh_api_key_hook = renewed  # type: ignore[assignment]  # it puts itself there
            due = time.monotonic() + _RENEWED

    return renewed


def open_kube(kubeconfig: Path | None, context: str | None, retry_policy: RetryPolicy) -> Kube:
    """Read the kubeconfig, or the service account of the pod that we run in. Nothing is sent yet.

    Args:
        kubeconfig: None: `$KUBECONFIG`, then `~/.kube/config`, then the service account of the pod that we run in.
        context: None: the current one.
        retry_policy: How often and how long to try.

    Raises:
        ProviderError: there is none, it is broken, or it lacks the context.
    """
    from kubernetes.client import Configuration

    configuration = Configuration()
    if kubeconfig is None and context is None and not _default_kubeconfigs() and _in_cluster():
        source = _load_in_cluster(configuration)
    else:
        source = _load_kubeconfig(kubeconfig, context, configuration)
    return Kube(configuration, ApiServer(str(configuration.host), source), retry_policy)


def _in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def _default_kubeconfigs() -> list[Path]:
    named = os.environ.get("KUBECONFIG", "")
    paths = [Path(name).expanduser() for name in named.split(os.pathsep) if name]
    return [path for path in paths or [Path("~/.kube/config").expanduser()] if path.is_file()]


def _load_in_cluster(configuration: Configuration) -> str:
    from kubernetes.config import ConfigException, load_incluster_config

    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise ProviderError(
            f"this pod's service account cannot be used ({error}): give --ciliumwg-kubeconfig"
        ) from None
    return "this pod's service account"


def _load_kubeconfig(kubeconfig: Path | None, wanted: str | None, configuration: Configuration) -> str:
    from kubernetes.config import list_kube_config_contexts, load_kube_config

    files = [kubeconfig] if kubeconfig is not None else _default_kubeconfigs()
    if not files:
        raise ProviderError("there is no kubeconfig: set KUBECONFIG or give --ciliumwg-kubeconfig")
    shown = os.pathsep.join(map(str, files))
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise ProviderError(f"the kubeconfig {missing[0]} does not exist: give the right --ciliumwg-kubeconfig")
    try:
        contexts, current = list_kube_config_contexts(config_file=shown)  # type: ignore[no-untyped-call]
        names = [context["name"] for context in contexts]
        name = wanted or (current or {}).get("name")
    except Exception as error:  # YAML errors, missing keys and wrong types, all of the file's
        raise ProviderError(f"the kubeconfig {shown} cannot be read: {_flat(error)}") from None
    if name not in names:
        raise ProviderError(f"the kubeconfig {shown} has no context {name!r}, only {', '.join(names) or 'none at all'}")
    try:
        with credential_plugin.listening() as said:
            # Ours to read, not to change: no renewed token is written back.
            load_kube_config(  # type: ignore[no-untyped-call]
                config_file=shown, context=name, client_configuration=configuration, persist_config=False
            )
    except Exception as error:  # as above, and credential plugins that cannot be run
        raise ProviderError(f"the context {name} of the kubeconfig {shown} cannot be used: {_flat(error)}") from None
    if said and not configuration.api_key and not configuration.cert_file:
        raise ProviderError(credential_plugin.refusal(str(name), shown, said[0]))
    return f"context {name} of {shown}"


def _flat(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # What the client library stumbles over where a file has another shape than it expects.
    lost = isinstance(error, AttributeError | KeyError | TypeError)
    return f"something in it is not understood ({text})" if lost else text

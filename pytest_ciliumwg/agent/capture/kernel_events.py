"""Changes of the kernel's state that matter to encryption, as the kernel tells them: links, routes, rules, filters.

IPv4 routes die silently with their link (the kernel sends no RTM_DELROUTE): there, the link's event is all there is.
A filter at a tcx hook is nothing that rtnetlink knows of.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import Any, Callable

from . import netlink
from .netlink import Message, Route, Traffic

_WIREGUARD_DEVICE = "cilium_wg0"
_WIREGUARD_TABLE, _MAIN_TABLE = 201, 254
_PREFIXES = ("cilium_", "lxc")
_UP = 0x1
_CACHED_ROUTE = 0x200
_DESTINATION, _DEVICE, _GATEWAY = 1, 4, 5
_PRIORITY, _MARK, _MASK = 6, 10, 16
_INGRESS, _EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
_QDISCS = ("clsact", "ingress")
_GATHER_SECONDS = 1.0
_MOST_SENTENCES = 200
"""Different sentences told for each second; what is more is only counted."""
_MOST_LINKS = 8192
_NO_LINK = ("", False)
_LIST_SECONDS = 5.0
_MOST_LISTS = 3
"""Lists asked for in a row while events are lost during each."""
_LIST_SEQUENCE = 0x77670001


class KernelEvents:
    """Listens to changes in this network namespace from when it is constructed until `close`.

    `devices` are the native devices that are watched. Equal sentences of one second are one entry.
    """

    def __init__(self, devices: list[str]) -> None:
        self._devices = frozenset(devices)
        self._links: dict[int, tuple[str, bool]] = {}
        self._former: dict[int, tuple[str, bool]] = {}
        self._waiting: dict[str, _Told] = {}
        self._more = 0
        self._oldest = 0.0
        self._readers: dict[int, Callable[[Message], None]] = {
            netlink.NEW_LINK: self._new_link,
            netlink.DEL_LINK: self._del_link,
            netlink.NEW_ROUTE: self._route,
            netlink.DEL_ROUTE: self._route,
            netlink.NEW_RULE: self._rule,
            netlink.DEL_RULE: self._rule,
            netlink.NEW_QDISC: self._qdisc,
            netlink.DEL_QDISC: self._qdisc,
            netlink.NEW_FILTER: self._filter,
            netlink.DEL_FILTER: self._filter,
        }
        self._socket = netlink.monitor()
        try:
            self._list_links()
            self._waiting.clear()  # a link that an event told of before the list did only looks as if it was new
        except BaseException:
            self.close()
            raise

    def read(self) -> list[dict[str, Any]]:
        """Entries that are ready; never blocks.

        `{kind: "kernel", at, what, subject, verb, family, device, count}`: `what` is the sentence for people. Where
        changes could not be told one by one, `subject` is empty and `verb` is None.
        """
        self._receive()
        return self.flush() if self._waiting and time.monotonic() - self._oldest >= _GATHER_SECONDS else []

    def flush(self) -> list[dict[str, Any]]:
        """The entries that still wait for equals of theirs."""
        entries = [told.entry() for told in self._waiting.values()]
        if self._more:
            entries.append(_Told(f"{self._more} more changes than could be told one by one").entry())
        self._waiting, self._more = {}, 0
        return entries

    def feed(self, data: bytes) -> None:
        """Take one datagram of the kernel's; a message that cannot be read is skipped."""
        for message in netlink.messages(data):
            reader = self._readers.get(message.kind)
            try:
                if reader is not None:
                    reader(message)
            except (struct.error, ValueError, OSError):
                continue

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _receive(self) -> None:
        while True:
            try:
                self.feed(self._socket.recv(1 << 17))
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(error)
                self._list_links()

    def _list_links(self) -> None:
        """Learn all links; events that came before or come meanwhile are taken as usual, by the links known before."""
        self._socket.settimeout(_LIST_SECONDS)
        try:
            for _ in range(_MOST_LISTS):
                self._former, self._links = {**self._former, **self._links}, {}
                if self._list_once():
                    return
        finally:
            self._former = {}
            self._socket.setblocking(False)

    def _list_once(self) -> bool:
        """Whether no event was lost meanwhile; the list itself is whole either way."""
        whole = True
        self._socket.send(netlink.ask_for_links(_LIST_SEQUENCE))
        while True:
            try:
                data = self._socket.recv(1 << 17)
            except OSError as error:
                self._lost(error)
                whole = False
                continue
            self.feed(data)
            ends = (netlink.DONE, netlink.ERROR)
            if any(message.kind in ends and message.sequence == _LIST_SEQUENCE for message in netlink.messages(data)):
                return whole

    def _lost(self, error: OSError) -> None:
        """Tell that the kernel had no room for events; raise every other error."""
        if error.errno != errno.ENOBUFS:
            raise error
        self._keep(_Told("some changes of the kernel's state were too fast to be heard"))

    def _tell(self, subject: str, verb: str, device: str = "", family: str | None = None, to: str = "") -> None:
        self._keep(_Told(f"{subject} was {verb}{to}", subject, verb, device, family))

    def _keep(self, new: _Told) -> None:
        if not self._waiting:
            self._oldest = time.monotonic()
        told = self._waiting.get(new.what)
        if told is not None:
            told.count += 1
        elif len(self._waiting) < _MOST_SENTENCES:
            self._waiting[new.what] = new
        else:
            self._more += 1

    def _new_link(self, message: Message) -> None:
        link = netlink.link(message.body)
        matters = link.name in self._devices or link.name.startswith(_PREFIXES)
        before = self._links.get(link.number) or self._former.get(link.number)
        if link.family or not (matters or before):
            return
        if len(self._links) >= _MOST_LINKS:
            self._links.clear()
        now = self._links[link.number] = (link.name, bool(link.flags & _UP))
        if message.sequence == _LIST_SEQUENCE:
            return
        if before is None:
            self._tell(link.name, "created", link.name)
        elif before[0] != link.name:
            self._tell(before[0], "renamed", before[0], to=f" to {link.name}")
        if (before is not None and before[1]) != now[1]:
            self._tell(link.name, "set up" if now[1] else "set down", link.name)

    def _del_link(self, message: Message) -> None:
        link = netlink.link(message.body)
        former = self._former.pop(link.number, _NO_LINK)
        if not link.family and self._links.pop(link.number, former)[0]:
            self._tell(link.name, "removed", link.name)

    def _route(self, message: Message) -> None:
        route = netlink.route(message.body)
        device = self._name(netlink.number(route.attributes, _DEVICE, 0))
        through = route.table == _MAIN_TABLE and device == _WIREGUARD_DEVICE and not _link_local(route)
        if route.flags & _CACHED_ROUTE or not (route.table == _WIREGUARD_TABLE or through):
            return
        table = "the main table" if route.table == _MAIN_TABLE else f"table {route.table}"
        words = [_destination(route)]
        if _GATEWAY in route.attributes:
            words.append("via " + socket.inet_ntop(route.number, route.attributes[_GATEWAY]))
        if device:
            words.append(f"dev {device}")
        subject = f"the route {' '.join(words)} of {table} ({route.family})"
        self._tell(subject, _done(message), device, route.family)

    def _rule(self, message: Message) -> None:
        rule = netlink.route(message.body)
        mark = netlink.number(rule.attributes, _MARK, 0)
        if not mark and rule.table != _WIREGUARD_TABLE:
            return
        mask = netlink.number(rule.attributes, _MASK, 0xFFFFFFFF)
        marked = f"fwmark {mark:#x}" + (f"/{mask:#x}" if mask != 0xFFFFFFFF else "") + " " if mark else ""
        priority = netlink.number(rule.attributes, _PRIORITY, 0)
        subject = f"the rule {priority}: {marked}lookup {rule.table} ({rule.family})"
        self._tell(subject, _done(message), family=rule.family)

    def _qdisc(self, message: Message) -> None:
        qdisc = netlink.traffic(message.body)
        device = self._watched(qdisc)
        if device and qdisc.kind in _QDISCS:
            self._tell(f"the {qdisc.kind} qdisc of {device}", _done(message), device)

    def _filter(self, message: Message) -> None:
        found = netlink.traffic(message.body)
        device = self._watched(found)
        sides = {_INGRESS: "an ingress filter", _EGRESS: "an egress filter"}
        if device:
            self._tell(f"{sides.get(found.parent, 'a filter')} of {device}", _done(message), device)

    def _watched(self, traffic: Traffic) -> str:
        name = self._name(traffic.device)
        return name if name in self._devices else ""

    def _name(self, index: int) -> str:
        """A device's name; that of one that does not matter is asked for."""
        if index in self._links or index <= 0:
            return self._links.get(index, _NO_LINK)[0]
        try:
            return socket.if_indextoname(index)
        except (OSError, OverflowError):
            return f"interface {index}"


class _Told:
    """A sentence with its parts, and how often it was true within a second."""

    def __init__(
        self,
        what: str,
        subject: str = "",
        verb: str | None = None,
        device: str = "",
        family: str | None = None,
    ) -> None:
        self.at = time.time()
        self.what = what
        self.count = 1
        self._parts = {"subject": subject, "verb": verb, "family": family, "device": device}

    def entry(self) -> dict[str, Any]:
        times = f" (x{self.count})" if self.count > 1 else ""
        return dict(self._parts, kind="kernel", at=self.at, what=self.what + times, count=self.count)


def _done(message: Message) -> str:
    if message.kind in (netlink.DEL_ROUTE, netlink.DEL_RULE, netlink.DEL_QDISC, netlink.DEL_FILTER):
        return "removed"
    replaced = message.kind == netlink.NEW_ROUTE and message.flags & netlink.REPLACE
    return "replaced" if replaced else "added"


def _destination(route: Route) -> str:
    address = route.attributes.get(_DESTINATION)
    if address is None or not route.prefix:
        return "default"
    return f"{socket.inet_ntop(route.number, address)}/{route.prefix}"


def _link_local(route: Route) -> bool:
    """The kernel's own route of every device that is up."""
    return route.attributes.get(_DESTINATION, b"").startswith(b"\xfe\x80")

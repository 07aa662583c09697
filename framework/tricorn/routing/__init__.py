"""Routing: templates, routes, mounts, hosts and the router."""

from tricorn.routing.mount import Host, Mount
from tricorn.routing.pattern import Converter, register_converter
from tricorn.routing.route import Route, WebSocketRoute
from tricorn.routing.router import AnyRoute, Router

__all__ = ["AnyRoute", "Converter", "Host", "Mount", "Route", "Router", "WebSocketRoute", "register_converter"]

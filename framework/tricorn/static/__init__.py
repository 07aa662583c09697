"""Static files: ``StaticFiles``, and what it is made of."""

from tricorn.static.app import StaticFiles
from tricorn.static.options import CacheRules

__all__ = ["CacheRules", "StaticFiles"]

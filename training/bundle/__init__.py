"""The bundle: everything that was learned, in one folder that serving loads."""

from .bundle import MANIFEST, Bundle, BundleManifest, manifest_of
from .layout import Layout

__all__ = ["MANIFEST", "Bundle", "BundleManifest", "Layout", "manifest_of"]

"""Weights and bundles: specifications, pull, verify, convert, push, checks of foreign bundles."""

from zoo.hub.bundles import bundle_folder, bundle_names, config_keys
from zoo.hub.catalogue import find_model, find_variant, load_catalogue
from zoo.hub.foreign_bundles import BundleData, read_bundle
from zoo.hub.own_models import OwnModel, find_own_model
from zoo.hub.specs import ModelSpec, Variant
from zoo.hub.weights import (
    WeightsFile,
    find_weights,
    load_weights,
    models_here,
    models_to_choose,
    models_without_weights,
)

__all__ = [
    "BundleData",
    "ModelSpec",
    "OwnModel",
    "Variant",
    "WeightsFile",
    "bundle_folder",
    "bundle_names",
    "config_keys",
    "find_model",
    "find_own_model",
    "find_variant",
    "find_weights",
    "load_catalogue",
    "load_weights",
    "models_here",
    "models_to_choose",
    "models_without_weights",
    "read_bundle",
]

"""Short fingerprints for the tests of the rules, and plans made from them."""

from zoo.planning.evidence import UserOptions
from zoo.planning.plan import make_plan

ALL = ("mcbo", "unigradicon", "multigradicon", "unireg")
ALIGNED = {
    "measured": 1,
    "smallest_overlap": 1.0,
    "largest_centres_mm": 3.0,
    "largest_displacement_mm": 8.0,
    "lncc2": 0.5,
    "sign": 0.95,
}


def belief(value, confidence="declared", **more):
    return {"value": value, "source": "dataset", "confidence": confidence, "evidence": "e", **more}


def channel(modality, *, hounsfield=None, **more):
    ct = modality in ("ct", "cbct") if hounsfield is None else hounsfield
    return {
        "count": 3,
        "field_mm": {"p0": [200.0] * 3, "p50": [200.0] * 3, "p100": [200.0] * 3},
        "spacing_mm": {"p0": [1.0] * 3, "p50": [1.0] * 3, "p100": [1.0] * 3},
        "largest_anisotropy": 1.0,
        "intensity": {"hounsfield": 3 if ct else 0},
        "modality": belief(modality, "declared" if modality else "unknown", **more),
    }


def fingerprint(anatomy, fixed, moving, pairing, **more):
    return {
        "content": "c",
        "anatomy": belief(anatomy, "declared" if anatomy else "unknown"),
        "pairing": belief(pairing),
        "channels": {"0": channel(fixed), "1": channel(moving)},
        "pairs": {"slots": {"0-1": 3}, "splits": {"val": 3}, "largest_field_ratio": 1.0},
        "alignment": ALIGNED | more,
    }


def planned(*facts, **options):
    """Return the plan for a fingerprint of these facts, with the weights of all models at hand."""
    return make_plan(fingerprint(*facts), UserOptions(available=ALL, **options))

"""What a file holds beside its picture: previews, gain and depth maps, other pictures."""

from __future__ import annotations

from PIL import Image

MP_ENTRIES = 0xB002  # of CIPA DC-007, by which a JPEG holds others
PREVIEW, UNSAID = "Large Thumbnail", "Undefined"  # UNSAID is what gain maps are (Ultra HDR, ISO 21496-1)
MAPS = "its gain or depth map was left out, since it shows what was removed"


def container(opened: Image.Image) -> str:
    """The container of an opened picture; a JPEG that holds others is a JPEG."""
    return "JPEG" if opened.format == "MPO" else opened.format or "PNG"


def left_out(opened: Image.Image) -> str | None:
    """What is said of a picture that is changed, since something beside it is left out; None where nothing is.

    Raises ValueError where it holds pictures in their own right: pages, steps of an animation, other views.
    """
    if opened.format == "MPO":
        entries = opened.mpinfo[MP_ENTRIES][1:]  # type: ignore[attr-defined]
        kinds = [str(entry["Attribute"]["MPType"]) for entry in entries]
        if all(kind.startswith((PREVIEW, UNSAID)) for kind in kinds):
            return MAPS if any(kind.startswith(UNSAID) for kind in kinds) else None
    frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        raise ValueError(f"it holds {frames} frames or pages; only single pictures can be changed")
    return MAPS if opened.info.get("aux") or opened.info.get("depth_images") else None

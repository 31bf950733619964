"""The literal error messages of broken machines, and the fix for each."""

from __future__ import annotations

from flows.errors import pip

PIP = pip()
OPENCV_FIX = (
    "apt-get install -y libgl1 libglib2.0-0 (libglib2.0-0t64 on newer systems), "
    f"or {PIP} uninstall -y opencv-python && {PIP} install opencv-python-headless"
)
FITTING = f"{PIP} install --upgrade torch torchvision, both from one place"
FIXES = {  # the first text found in a message decides the fix
    "libxcb.so.1": f"OpenCV needs system libraries: {OPENCV_FIX}",
    "libGL.so.1": f"OpenCV needs system libraries: {OPENCV_FIX}",
    "libgthread-2.0.so.0": f"OpenCV needs system libraries: {OPENCV_FIX}",
    "module 'cv2' has no attribute": "two OpenCVs were installed and one removed: "
    f"{PIP} uninstall -y opencv-python opencv-python-headless && {PIP} install opencv-python",
    "operator torchvision::nms does not exist": f"torch and torchvision do not fit: {FITTING}",
    "No module named 'torchvision'": f"segment-anything needs it and does not say so: {PIP} install torchvision",
    "Torch not compiled with CUDA enabled": f"this torch is for the CPU alone: {FITTING}",
    "no kernel image is available for execution": f"this torch is too old or too new for the GPU: {FITTING}",
    "driver on your system is too old": "install a newer NVIDIA driver, or run with --device cpu",
    "out of memory": "run with --offload on --batch-size 1, close what else uses the GPU, or use --device cpu",
    "Numpy is not available": f"numpy and torch do not fit: {PIP} install --upgrade numpy torch torchvision",
    "unexpected keyword argument 'min_items'": f"Prefect's server does not fit FastAPI: {PIP} install 'fastapi<0.151'",
    "schedules never create a run": f"Prefect does not fit SQLAlchemy 2.1: {PIP} install 'sqlalchemy<2.1'",
    "Failed to reach API": "start Prefect's server (prefect server start), or run without it: --no-flow",
    "outgoing traffic has been disabled": "HF_HUB_OFFLINE is set: unset it, or fetch weights beforehand, elsewhere: "
    "cleanplate models pull MODEL",
    "We couldn't connect to": "the hub cannot be reached: check network and proxy, or fetch elsewhere and set HF_HOME",
    "Invalid user token": "the token is wrong or too old: hf auth login, or set HF_TOKEN",
    "No space left on device": "free some space, or choose another target; weights go to HF_HOME",
    "Disk quota exceeded": "free some space, or choose another target; weights go to HF_HOME",
    "Read-only file system": "choose a target that can be written",
    "No locks available": "the file system of the target has no locks: choose a target on a local disk",
    "locking protocol": "the file system of the target has no locks: choose a target on a local disk",
    "Too many open files": "raise the limit: ulimit -n 4096",
}


def fix_of(message: str) -> str | None:
    """The fix for a machine that gave this message; None if it is unknown."""
    return next((fix for part, fix in FIXES.items() if part in message), None)

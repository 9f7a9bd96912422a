"""Running a bundle by `monai.bundle run`."""

import json
import subprocess
import sys

from zoo.hub.bundles import bundle_folder


def run_by_monai(model, plan, folder):
    """Run the inference config of a model with a plan merged into it; return result.json."""
    configs = [str(bundle_folder(model) / "configs" / "inference.json"), str(plan)]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(configs)]
    command += ["--output_dir", str(folder / "out"), "--device", "cpu"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "out" / "result.json").read_text())

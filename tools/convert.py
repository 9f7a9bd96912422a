"""Convert a released checkpoint to safetensors, and print the sha256 of the result.

    python tools/convert.py Step_2_final.trch model.safetensors \
        --architecture gradicon --width 16 --licence Apache-2.0 --url https://...
"""

import argparse
import sys

from zoo.errors import UserError
from zoo.hub.convert import architectures, convert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the checkpoint: .trch, .pth or .pt")
    parser.add_argument("target", help="the .safetensors file to write")
    parser.add_argument("--architecture", required=True, choices=sorted(architectures()))
    parser.add_argument("--width", required=True, type=int, help="16 for GradICON, 8 for UniReg")
    parser.add_argument("--licence", required=True, help="the licence of the weights")
    parser.add_argument("--url", help="where the checkpoint came from")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16"))
    try:
        print(convert(**vars(parser.parse_args())))
    except UserError as error:
        print(f"convert: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

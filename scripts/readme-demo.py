#!/usr/bin/env python3
"""Puts the demo's output into README.md, or with --check says whether it is there as printed.

usage: readme-demo.py [--check]   (run from the repository, after make demo)
"""
import pathlib
import subprocess
import sys

BEGIN, END = "<!-- demo output begins -->", "<!-- demo output ends -->"


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    readme = root / "README.md"
    output = subprocess.run([root / "scripts/demo.sh"], capture_output=True, text=True, check=True)
    story = output.stdout.split("== An office", 1)[1]
    block = f"{BEGIN}\n```text\n== An office{story.rstrip()}\n```\n{END}"
    text = readme.read_text()
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    wanted = before + block + after
    if "--check" in sys.argv[1:]:
        if wanted != text:
            print("README.md: the demo prints something else now: run scripts/readme-demo.py", file=sys.stderr)
            return 1
        print("readme: the demo's output is as printed")
        return 0
    readme.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes the pictures of the gallery again: runs the blocks of `docs/gallery.md`, from top to bottom."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "gallery.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

if __name__ == "__main__":
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        sys.stdout.write(text)
        sys.stdout.flush()
        command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
        subprocess.run([*command, text], cwd=PAGE.parents[1], check=True)

"""Draw the README's pictures from a finished work folder: `make pictures`.

    python docs/pictures.py .auditor

Needs Chromium. Exports the site of the folder's catalog, then photographs the gallery after a question, and the page of
one adapter.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parent / "images"
QUESTION = "most vibrant watercolor LoRA"
ADAPTER = "ana-k/meadow-lora"
_COLOURS = 128


def photograph(address: str, width: int, height: int) -> bytes:
    """A PNG of a page as Chromium shows it, in few colours so that the file stays small.

    Raises:
        SystemExit: There is no Chromium, or it failed.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("the pictures need Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        options = (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
            f"--user-data-dir={folder}/profile", f"--window-size={width},{height}", "--virtual-time-budget=5000",
            "--allow-file-access-from-files", f"--screenshot={shot}",
        )  # fmt: skip
        run = subprocess.run([browser, *options, address], capture_output=True, timeout=120, check=False)
        if not shot.exists():
            sys.exit(f"Chromium ended with {run.returncode}: {run.stderr.decode(errors='replace')[-500:]}")
        buffer = io.BytesIO()
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(_COLOURS).save(buffer, format="PNG", optimize=True)
        return buffer.getvalue()


def main() -> None:
    """Export, photograph, write."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} WORK_FOLDER")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "export"
        auditor = [sys.executable, "-m", "auditor.cli.main", "--profile", "pocket", "--work-dir", sys.argv[1]]
        subprocess.run([*auditor, "export", "--format", "site", "--out", str(out)], check=True)
        index = next(out.rglob("index.html")).as_uri()
        gallery = f"{index}#words={QUESTION.replace(' ', '%20')}"
        (IMAGES / "gallery.png").write_bytes(photograph(gallery, 1200, 900))
        page = Path(folder) / "page.html"
        subprocess.run([*auditor, "explain", ADAPTER, "--page", str(page)], check=True)
        (IMAGES / "page.png").write_bytes(photograph(page.as_uri(), 900, 1250))
    print(f"written: {IMAGES / 'gallery.png'}, {IMAGES / 'page.png'}")


if __name__ == "__main__":
    main()

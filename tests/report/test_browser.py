"""In a real browser the page fits phones and desktops, in both colour schemes, and its script does its work."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from synrs_data.report import render_report
from tests.report.fake_build import make_build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONG = "a_very_long_name_without_any_place_to_break_" * 4

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

# The page is loaded in a frame of a wrapper, whose script may look into it; the page's own policy stays on.
WRAPPER = """<!DOCTYPE html><body style="margin:0">
<iframe srcdoc="{page}" style="border:0;width:{width}px;height:900px"></iframe><pre></pre><script>
const frame = document.querySelector("iframe");
const luminance = (colour) => {{
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}};
const backdrop = (page, element) => {{
  for (let here = element; here; here = here.parentElement) {{
    const colour = page.getComputedStyle(here).backgroundColor;
    if (!colour.endsWith(", 0)")) return colour;
  }}
  return "rgb(255, 255, 255)";
}};
frame.addEventListener("load", () => {{
  const page = frame.contentWindow, root = page.document.documentElement;
  for (const details of page.document.querySelectorAll("details")) details.open = true;
  const contrasts = [...page.document.querySelectorAll("h1, h2, h3, p, dt, dd, th, td, span, strong, a, summary, code")]
    .filter((element) => element.checkVisibility() && element.textContent.trim())
    .map((element) => {{
      const pair = [page.getComputedStyle(element).color, backdrop(page, element)].map(luminance);
      return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    }});
  const image = page.document.querySelector("figure img");
  image.click();
  const dialog = page.document.querySelector("dialog");
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.innerWidth,
    content: root.scrollWidth,
    background: page.getComputedStyle(page.document.body).backgroundColor,
    contrast: Math.min(...contrasts),
    loaded: image.complete && image.naturalWidth,
    enlarged: dialog.open && dialog.querySelector("img").src === image.src,
  }});
}});
</script></body>"""


def measure(folder: Path, page: str, width: int, *, dark: bool) -> dict[str, Any]:
    """Return what a browser makes of a page that is `width` pixels wide."""
    assert CHROMIUM is not None
    wrapper = folder / "wrapper.html"
    wrapper.write_text(WRAPPER.format(page=html.escape(page), width=width), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=10000"]
    result = subprocess.run(
        [*command, "--dump-dom", wrapper.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, Any] = json.loads(html.unescape(result.stdout.split("<pre>")[1].split("</pre>")[0]))
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_page_fits_its_window_can_be_read_and_enlarges_images(tmp_path: Path, width: int, dark: bool) -> None:
    page = render_report(
        *make_build(
            tmp_path / "build",
            labels=["Forest", LONG, *(f"class_{i}" for i in range(20))],
            candidates=120,
            caption=lambda index, name: f"a satellite image of {name} {LONG if index % 5 == 0 else ''}",
            splits={"train": 0.8, "validation": 0.1, "test": 0.1},
            recipe={"title": f"Scenes {LONG}"},
        )
    )

    found = measure(tmp_path, page, width, dark=dark)

    assert found["width"] == width
    assert found["content"] <= width
    assert found["loaded"] == 16
    assert found["enlarged"] is True
    # WCAG 2.2, success criterion 1.4.3, level AA.
    assert found["contrast"] >= 4.5
    assert (found["background"] == "rgb(18, 21, 22)") is dark

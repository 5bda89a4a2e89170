"""A real browser in front of a page: Debian's Chromium, without a window."""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from harness import packages, proc

Theme = Literal["light", "dark"]
_ARGUMENTS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
)


@dataclass(frozen=True)
class Browser:
    """A browser and what it can be made to do."""

    driver: webdriver.Chrome

    def open(self, page: Path, width: int, theme: Theme) -> None:
        """Show a page in a window of so many pixels."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": "screen", "features": features}
        )
        self.driver.get(page.resolve().as_uri())

    def ask(self, script: str) -> Any:
        """The value of a function's body in JavaScript. The page itself may run none."""
        return self.driver.execute_script(script)

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        shot = {"format": "png", "captureBeyondViewport": True}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"])

    def pdf(self) -> bytes:
        """The page as it is printed, in light as on paper."""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        return base64.b64decode(
            self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
        )


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser, which is gone afterwards. Raises InfraError where there is none to be had."""
    packages.ensure(packages.BROWSER, print)
    options = Options()
    options.binary_location = str(proc.which("chromium"))
    for argument in (*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(str(proc.which("chromedriver"))))
    try:
        yield Browser(driver)
    finally:
        driver.quit()

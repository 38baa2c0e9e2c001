"""Take the picture of a call for the README: the real product, a real browser, a spoken sentence. Run: just picture"""

import subprocess
import tempfile
import wave
from pathlib import Path

from playwright.sync_api import expect, sync_playwright
from product import Product

PICTURE = Path(__file__).parent / "images" / "call.png"
CHROMIUM = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--no-first-run",
    "--disable-background-networking",
    "--force-prefers-reduced-motion",
]
#: Seconds of silence before each sentence: the greeting, and the answers.
SCRIPT = ((7.5, "what are your opening hours"), (8.0, "book an appointment on tuesday at three"))
#: Milliseconds; far more than anything takes.
PATIENCE = 60_000


def speak(folder: Path) -> Path:
    """The caller's microphone as a sound file."""
    pieces: list[bytes] = []
    for silence, text in SCRIPT:
        spoken = folder / "sentence.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(spoken)], check=True)
        with wave.open(str(spoken)) as sound:
            rate = sound.getframerate()
            pieces += [bytes(int(silence * rate) * 2), sound.readframes(sound.getnframes())]
    file = folder / "microphone.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join([*pieces, bytes(60 * rate * 2)]))
    return file


def take(url: str, microphone: Path) -> None:
    """Call the agent, let it answer twice, and take the picture while it speaks."""
    with sync_playwright() as playwright:
        arguments = [*CHROMIUM, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page(viewport={"width": 900, "height": 760}, device_scale_factor=1.5)
        page.goto(url)
        page.click("#start")
        expect(page.locator("#lines")).to_contain_text("Tuesday at three", timeout=PATIENCE)
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        page.click("#end")
        browser.close()


def main() -> None:
    """Start the product, take the picture, stop it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        product = Product(folder)
        try:
            take(product.url, speak(folder))
        finally:
            product.stop()
    print(PICTURE)


if __name__ == "__main__":
    main()

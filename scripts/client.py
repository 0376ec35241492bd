"""Writes the participants' command line into dist/: `make client`."""

from __future__ import annotations

from pathlib import Path

from portal.client.wheel import client_wheel


def main() -> None:
    wheel, folder = client_wheel(), Path(__file__).parents[1] / "dist"
    folder.mkdir(exist_ok=True)
    draft = folder / f".{wheel.name}.part"
    draft.write_bytes(wheel.content)
    draft.replace(folder / wheel.name)
    print(f"dist/{wheel.name}  {len(wheel.content):,} bytes  sha256 {wheel.sha256}")


if __name__ == "__main__":
    main()

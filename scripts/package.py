#!/usr/bin/env python3
"""Makes the Debian package with dpkg-deb, as cargo-deb would from the same metadata.

Usage: package.py DWELL-BINARY    (scripts/package.sh makes what it needs first)
"""

import glob
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CRATE = os.path.join(ROOT, "crates", "dwell")


def read(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def sources(pattern, binary):
    """The files that an asset names, relative to the crate; what cargo builds is the given binary."""
    if pattern == "target/release/dwell":
        return [binary]
    found = sorted(path for path in glob.glob(os.path.join(CRATE, pattern)) if os.path.isfile(path))
    if not found:
        sys.exit(f"package: {pattern}: no such file")
    return found


def lay_out(deb, binary, stage):
    for pattern, place, mode in deb["assets"]:
        for source in sources(pattern, binary):
            path = os.path.join(stage, place)
            if place.endswith("/"):
                path = os.path.join(path, os.path.basename(source if "*" in pattern else pattern))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(source, path)
            os.chmod(path, int(mode, 8))
            if path.endswith(("/dwell.1", "/usr/bin/dwell")):
                finish(path)
    folder = os.path.join(stage, "usr/share/doc/dwell")
    with open(os.path.join(folder, "copyright"), "w", encoding="utf-8") as file:
        file.write(f"Copyright: {deb['copyright']}\nLicense: Apache-2.0 or MIT\n\n")
        with open(os.path.join(CRATE, deb["license-file"][0]), encoding="utf-8") as text:
            file.write(text.read())


def finish(path):
    """A manual page is packed, a binary stripped, as Debian's policy wants."""
    if not path.endswith(".1"):
        if shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded", path], check=True)
        return
    with open(path, "rb") as plain, open(f"{path}.gz", "wb") as packed:
        packed.write(gzip.compress(plain.read(), 9, mtime=0))
    os.chmod(f"{path}.gz", 0o644)
    os.remove(path)


def control(deb, shared, stage):
    folder = os.path.join(stage, "DEBIAN")
    os.mkdir(folder)
    size = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(stage) for name in names)
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    lines = {
        "Package": deb["name"], "Version": f"{shared['version']}-1", "Architecture": architecture.stdout.strip(),
        "Maintainer": deb["maintainer"], "Section": deb["section"], "Priority": deb["priority"],
        "Installed-Size": str(size // 1024 + 1), "Depends": deb["depends"],
        "Description": f"{shared['description'].rstrip('.')}\n {deb['extended-description']}",
    }
    with open(os.path.join(folder, "control"), "w", encoding="utf-8") as file:
        file.writelines(f"{name}: {value}\n" for name, value in lines.items())
    with open(os.path.join(folder, "conffiles"), "w", encoding="utf-8") as file:
        file.writelines(f"{path}\n" for path in deb["conf-files"])
    for name in ("postinst", "prerm", "postrm"):
        path = os.path.join(folder, name)
        shutil.copy(os.path.join(CRATE, deb["maintainer-scripts"], name), path)
        os.chmod(path, 0o755)
    return f"{deb['name']}_{lines['Version']}_{lines['Architecture']}.deb"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.umask(0o022)
    deb = read(os.path.join(CRATE, "Cargo.toml"))["package"]["metadata"]["deb"]
    shared = read(os.path.join(ROOT, "Cargo.toml"))["workspace"]["package"]
    folder = os.path.join(ROOT, "target", "debian")
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as stage:
        os.chmod(stage, 0o755)
        lay_out(deb, os.path.abspath(sys.argv[1]), stage)
        path = os.path.join(folder, control(deb, shared, stage))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", stage, path], check=True,
                       stdout=subprocess.DEVNULL)
    print(path)


main()

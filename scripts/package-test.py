#!/usr/bin/env python3
"""Tests the Debian package: made, installed, configured, removed, purged; and how exposed systemd finds the unit.

Usage: package-test.py DWELL-BINARY

Needs root, dpkg-deb and an overlay file system: what is installed goes into a layer over this system that is
thrown away. Where one is missing it says so, loudly, and passes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INSIDE = "DWELL_PACKAGE_TEST_INSIDE"
MOST_EXPOSED = 2.0


def skipped(reason, untested):
    print(f"package: SKIPPED: {reason.upper()}: {untested.upper()} NOT TESTED")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"package: {' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def unit():
    """systemd's own judgement of the unit, 0 (safe) to 10."""
    if not shutil.which("systemd-analyze"):
        skipped("no systemd-analyze", "the unit was")
        return
    path = os.path.join(ROOT, "configs", "systemd", "dwell.service")
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", path]
    text = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"exposure level[^:]*: ([0-9.]+)", text.stdout)
    if not found:
        skipped("systemd-analyze judges no files here", "the unit was")
        return
    assert float(found.group(1)) <= MOST_EXPOSED, text.stdout
    print(f"package: systemd-analyze security: {found.group(1)} of at most {MOST_EXPOSED}")


def layer(folder):
    """This system with a layer over it that takes what is written."""
    names = {name: os.path.join(folder, name) for name in ("over", "work", "root")}
    run("mount", "-t", "tmpfs", "none", folder)
    for path in names.values():
        os.mkdir(path)
    run("mount", "-t", "overlay", "overlay", "-o",
        f"lowerdir=/,upperdir={names['over']},workdir={names['work']}", names["root"])
    for name in ("proc", "dev"):
        run("mount", "--rbind", f"/{name}", os.path.join(names["root"], name))
    return names["root"]


def life(package, root):
    """Installed with user, folders and a configuration that is right; removed and purged without a trace."""
    inside = ["chroot", root]
    known = subprocess.run([*inside, "dpkg-query", "-W", "dwell"], capture_output=True).returncode == 0
    assert not known, "dwell is installed here already"
    shutil.copy(package, os.path.join(root, "dwell.deb"))
    run(*inside, "dpkg", "--install", "/dwell.deb")
    run(*inside, "/usr/bin/dwell", "--version")
    assert run(*inside, "id", "-un", "dwell").strip() == "dwell"
    for path, mode in (("etc/dwell/dwell.toml", 0o640), ("var/lib/dwell", 0o750), ("var/log/dwell", 0o750)):
        found = os.stat(os.path.join(root, path)).st_mode & 0o777
        assert found == mode, (path, oct(found))
    run(*inside, "/usr/bin/dwell", "check", "--config", "/etc/dwell/dwell.toml")
    listed = run(*inside, "dpkg", "--listfiles", "dwell").split()
    for path in ("/usr/share/man/man1/dwell.1.gz", "/usr/share/bash-completion/completions/dwell",
                 "/lib/systemd/system/dwell.service", "/etc/logrotate.d/dwell", "/usr/share/dwell/policy.toml"):
        assert path in listed, path
    if shutil.which("logrotate"):
        run(*inside, "logrotate", "--debug", "--state", "/tmp/state", "/etc/logrotate.d/dwell")
    run(*inside, "dpkg", "--remove", "dwell")
    assert os.path.exists(os.path.join(root, "etc/dwell/dwell.toml")), "the configuration stays until purge"
    assert not os.path.exists(os.path.join(root, "usr/bin/dwell"))
    run(*inside, "dpkg", "--purge", "dwell")
    for path in ("etc/dwell", "etc/logrotate.d/dwell", "var/lib/dwell", "var/log/dwell", "usr/share/dwell"):
        assert not os.path.exists(os.path.join(root, path)), f"{path} is left"
    passwd = run(*inside, "getent", "passwd").splitlines()
    assert not any(line.startswith("dwell:") for line in passwd), "the user is left"
    print(f"package: {os.path.basename(package)} ({os.path.getsize(package) / 1e6:.1f} MB) installs, checks, is removed "
          "and purged without a trace")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if os.environ.get(INSIDE) != "1":
        unit()
        missing = [tool for tool in ("dpkg-deb", "unshare", "chroot") if not shutil.which(tool)]
        if os.geteuid() != 0 or missing:
            skipped(f"not root or missing {missing}", "the package was")
            return
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            skipped("no mount namespaces here", "the package was")
            return
        arguments = ["unshare", "-m", sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
        os.execvpe("unshare", arguments, {**os.environ, INSIDE: "1"})
    package = run(os.path.join(ROOT, "scripts", "package.sh"), os.path.abspath(sys.argv[1])).split()[-1]
    with tempfile.TemporaryDirectory() as folder:
        try:
            root = layer(folder)
        except SystemExit as failure:
            print(failure)
            skipped("no overlay file system here", "the package was made and not")
            return
        try:
            life(package, root)
        finally:
            subprocess.run(["umount", "-R", "-l", folder], capture_output=True)
    print("package: all passed")


main()

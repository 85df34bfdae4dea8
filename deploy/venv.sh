#!/bin/sh
# Makes the virtual environment named by the first argument and installs exactly what requirements.lock pins
# (hashes checked), then this project on top. Run again, it brings an existing environment up to date.
set -eu

venv=$1

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  for candidate in python3 python3.13 python3.12 python3.11; do
    if is_new_enough "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# Its programs name their Python by its full path, so one that was copied or moved here is of no use. A link to an
# environment elsewhere is somebody's wish.
was_made_here() {
  [ -L "$venv" ] || grep -qF "$(pwd -P)/$venv/bin/" "$venv/bin/pip" 2>/dev/null
}

# Debian ships Python without venv's installer; its package has the version in its name.
install_debian_venv() {
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "$python has no venv module: install Python's venv package for $version, then run this again." >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "$python has no venv module. Run: sudo apt-get update && sudo apt-get install -y python$version-venv" >&2
    return 1
  fi
  echo "installing python$version-venv (Debian keeps it apart from Python)"
  output=$(apt-get update -qq 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq "python$version-venv" 2>&1) || {
    echo "$output" >&2
    return 1
  }
}

make_venv() {
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    install_debian_venv
  fi
  echo "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
}

if ! is_new_enough "$venv/bin/python" || ! was_made_here || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(find_python) || {
    echo "Python 3.11 or newer is needed, and none was found as python3, python3.13, python3.12 or python3.11." >&2
    exit 1
  }
  make_venv
fi

echo "installing the locked packages"
# Twice quiet: warnings about the configuration of this machine's pip would drown the one line that matters.
pip="$venv/bin/python -m pip --disable-pip-version-check -qq"
$pip install --require-hashes -r requirements.lock
$pip install --no-deps --no-build-isolation -e .

# shellcheck shell=bash
# Sourced by the other scripts: `. scripts/setup.sh runtime|dev`. Makes .venv in the project from a lock file, with uv
# where it is installed, else with venv and pip. Done already? Then it takes no time. What the machine lacks is named
# as the packages to install, and the status is 2.

setup_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$setup_root" || exit 2
case ${1:-runtime} in
  runtime) setup_lock=requirements.lock ;;
  dev) setup_lock=requirements-dev.lock ;;
  *) echo "scripts/setup.sh: runtime or dev, not $1." >&2; exit 2 ;;
esac

setup_python() { # the first Python that is new enough, as a path
  local name found
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    found=$(command -v "$name") || continue
    "$found" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null || continue
    "$found" -c 'import sys; print(sys.executable)'
    return 0
  done
  return 1
}

setup_missing() { # Debian's names of the packages that are not there
  local python=$1 short
  command -v git >/dev/null || echo git
  if [ -z "$python" ]; then
    echo python3 python3-venv
  elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    short=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if [ "$python" -ef "$(command -v python3)" ]; then echo python3-venv; else echo "$short-venv"; fi
  fi
}

setup_base=$(setup_python) || setup_base=
setup_lacks=$(setup_missing "$setup_base" | tr '\n' ' ')
if [ -n "$setup_lacks" ]; then
  [ -n "$setup_base" ] || echo "Python 3.11 or newer is needed; this machine's is $(python3 --version 2>/dev/null || echo not there)." >&2
  echo "This machine lacks what is needed here. Install it and try again:" >&2
  echo "  sudo apt-get install ${setup_lacks% }" >&2
  exit 2
fi

setup_stamp() { # what an installation depends on; a moved project has wrong paths in its programs
  { echo "$setup_root"; .venv/bin/python -VV; cat "$1" pyproject.toml; } 2>/dev/null | sha256sum | cut -d' ' -f1
}

setup_is_done() { # dev has all that runtime has
  local lock
  for lock in "$setup_lock" requirements-dev.lock; do
    [ -f ".venv/.$lock" ] && [ "$(cat ".venv/.$lock")" = "$(setup_stamp "$lock")" ] && return 0
  done
  return 1
}

setup_install() {
  local python=.venv/bin/python
  if ! "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
    rm -rf .venv
    if command -v uv >/dev/null; then
      uv venv --quiet --no-project --python "$setup_base" .venv || return 1
    else
      "$setup_base" -m venv .venv || return 1
    fi
  fi
  rm -f .venv/.requirements*.lock
  # The project itself needs no index: what builds it is in the lock file.
  if command -v uv >/dev/null; then
    uv pip install --quiet --python "$python" --require-hashes -r "$setup_lock" &&
      uv pip install --quiet --python "$python" --offline --no-deps --no-build-isolation --editable . || return 1
  else
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null || return 1
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$setup_lock" &&
      "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --editable . || return 1
  fi
  setup_stamp "$setup_lock" >".venv/.$setup_lock"
}

exec 9<pyproject.toml
flock 9 # two scripts at once set up one after the other
if ! setup_is_done; then
  if command -v uv >/dev/null; then setup_with=uv; else setup_with="venv and pip"; fi
  echo "Setting up .venv with $setup_with from $setup_lock..." >&2
  setup_install || { echo "The set-up of .venv failed; what it said is above." >&2; exit 2; }
fi
exec 9<&-

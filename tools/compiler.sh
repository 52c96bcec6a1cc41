#!/bin/sh
# Makes sure that the C compiler which Go asks for works: the race detector needs it,
# and the headers of the C library with it. A missing one comes from the system's
# package manager, as Postgres does.
set -eu

compiler="${1:-cc}"

works() {
  command -v "${compiler%% *}" >/dev/null && printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | $compiler -x c -fsyntax-only - 2>/dev/null
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

if works; then exit 0; fi

echo "no C compiler here yet: installing the system's package" >&2
if command -v apt-get >/dev/null; then
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev >&2
elif command -v dnf >/dev/null; then
  as_root dnf install -y gcc glibc-devel >&2
else
  echo "install a C compiler by hand: neither apt-get nor dnf is here; on macOS it is xcode-select --install" >&2
  exit 1
fi

if ! works; then
  echo "installed, and still $compiler, which Go asks for, does not compile; go env CC says which it is" >&2
  exit 1
fi

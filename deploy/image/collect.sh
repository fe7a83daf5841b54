#!/bin/sh
# collect.sh FOLDER PROGRAM...: copies the programs and the shared libraries that they load into FOLDER, with the records
# of their Debian packages, which scanners read, and their licences. Runs in a stage of the Dockerfile.
set -eu
target=$1
shift
list=$(mktemp)
for program in "$@"; do
  path=$(command -v "$program")
  echo "$path"
  # Static programs have none; a library that is missing must not go unseen.
  libraries=$(ldd "$path" 2>/dev/null) || continue
  case $libraries in *"not found"*) echo "collect: $program: $libraries" >&2 && exit 1 ;; esac
  echo "$libraries" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p'
done | sort -u >"$list"
xargs cp -L --parents -t "$target" <"$list"

# dpkg knows /lib/x and /usr/lib/x by one of the two names only.
while read -r path; do
  dpkg-query -S "$path" 2>/dev/null || dpkg-query -S "/usr$path" 2>/dev/null ||
    dpkg-query -S "${path#/usr}" 2>/dev/null || echo "collect: $path is of no package" >&2
done <"$list" | cut -d: -f1 | sort -u | while read -r package; do
  mkdir -p "$target/var/lib/dpkg"
  dpkg-query -s "$package" >>"$target/var/lib/dpkg/status"
  echo >>"$target/var/lib/dpkg/status"
  cp --parents -t "$target" "/usr/share/doc/$package/copyright" 2>/dev/null || echo "collect: $package: no licence" >&2
done
rm "$list"

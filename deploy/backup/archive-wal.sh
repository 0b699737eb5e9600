#!/usr/bin/env bash
# Keep a finished piece of the write-ahead log: in the archive it is whole and on disk, or not there.
#     archive_command = '/path/to/archive-wal.sh "%p" "%f" /backups/wal'
set -euo pipefail
source=$1 archive=$3
kept=$archive/$2
if [ -e "$kept" ]; then
    exec cmp --silent "$source" "$kept" # Kept before a crash: well if it is the same. Another one is never overwritten.
fi
unfinished=$(mktemp "$archive/.$2.XXXXXX")
trap 'rm -f "$unfinished"' EXIT
cp "$source" "$unfinished"
sync "$unfinished"
mv "$unfinished" "$kept"
sync "$archive"

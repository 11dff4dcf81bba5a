#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A folder includes only itself and folders on floors below its own, and core never includes Qt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

floor_of() {
    case "$1" in
    core/base) echo 0 ;;
    core/kv) echo 1 ;;
    core/stats) echo 2 ;;
    core/codec) echo 3 ;;
    core/io | core/store | gpu) echo 4 ;;
    core/stream | core/live) echo 5 ;;
    core/eval | core/model) echo 6 ;;
    views) echo 7 ;;
    app) echo 8 ;;
    *) echo -1 ;;
    esac
}

room_of() {
    case "$1" in
    core/*) echo "$1" | cut -d/ -f1-2 ;;
    *) echo "$1" | cut -d/ -f1 ;;
    esac
}

bad=0
while IFS=: read -r file line include; do
    target=${include#*\"}
    target=${target%\"*}
    from=$(room_of "$file")
    to=$(room_of "$target")
    [ "$from" = "$to" ] && continue
    if [ "$(floor_of "$to")" -lt 0 ] || [ "$(floor_of "$to")" -ge "$(floor_of "$from")" ]; then
        echo "$file:$line: $from (floor $(floor_of "$from")) includes $target (floor $(floor_of "$to"))"
        bad=1
    fi
done < <(grep -nE '^#include "' -r core gpu views app --include='*.h' --include='*.cpp' --include='*.cu' 2>/dev/null |
    grep -vE '_generated|\.moc"')

if grep -nE '^#include <(Q[A-Z]|qcustomplot)' -r core --include='*.h' --include='*.cpp'; then
    echo "core includes Qt"
    bad=1
fi
if [ -d core/model ] && grep -nE '^#include <(torch|ATen)/' -r core gpu views app --include='*.h' --include='*.cpp' |
    grep -v '^core/model/'; then
    echo "libtorch is included outside of core/model"
    bad=1
fi
exit $bad

#!/bin/sh
# Builds the fuzz targets with Clang and runs each for so many seconds, from its corpus on:
#     tests/csrc/fuzz/run.sh SECONDS [FOLDER]
# FOLDER (build/fuzz) keeps the build, what was found on the way and inputs that broke a target.
# Exit status 1 if one did. CC and CXX choose the compiler.
set -eu
seconds=${1:?seconds for each target}
root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=${2:-$root/build/fuzz}
export CC="${CC:-clang}" CXX="${CXX:-clang++}"

cmake -S "$root" -B "$folder" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSEQTILE_TESTS=ON -DSEQTILE_FUZZ=ON
cmake --build "$folder" --target fuzz_records fuzz_faidx fuzz_bgzf fuzz_rows
status=0
for target in records faidx bgzf rows; do
    mkdir -p "$folder/found/$target"
    echo "== $target"
    "$folder/tests/csrc/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=8192 \
        -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$folder/$target-" \
        "$folder/found/$target" "$root/tests/csrc/corpus/$target" || status=1
done
exit $status

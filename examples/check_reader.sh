#!/usr/bin/env bash
# examples/read_model.py against `enas_ptb eval` on tiny models: check_reader.sh ENAS_PTB
# Where python3 has no numpy it says that it skips, and exits 77.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
"$python" -c 'import numpy' 2>/dev/null || {
  echo "skipped: $python has no numpy"
  exit 77
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/text"
# Words a < b < c and <eos>, which sorts first: ids 0 <eos>, 1 a, 2 b, 3 c.
for _ in $(seq 60); do printf 'a b c b a c\nc b a\n'; done >"$folder/text/train.txt"
printf 'b c a\na b\n' >"$folder/text/valid.txt"
printf 'a b c a\nc c b\n' >"$folder/text/test.txt"
ids="0 1 2 3 1 0 3 3 2 0"
count=0
check() {
  "$1" train --data "$folder/text" --out "$folder/run" --overwrite --hidden 6 --batch 4 --bptt 5 \
    --valid-batch 1 --epochs 2 --init 0.5 --quiet "${@:2}" >/dev/null
  # shellcheck disable=SC2086  # a list of ids
  own=$("$python" "$here/read_model.py" "$folder/run/model.safetensors" $ids)
  "$1" eval --weights "$folder/run" --split test --json |
    "$python" -c 'import json, sys
want, own = json.load(sys.stdin)["ppl"], float(sys.argv[1])
print(f"{own:.9f} here, {want:.9f} by eval")
sys.exit(abs(own - want) > 1e-6 * want)' "$own"
  count=$((count + 1))
}
check "$1" --arch "0 2 1 0 1 3 0 1"
check "$1" --arch "0 1 1 1 0 0" --cell plain --share edge
check "$1" --arch "enas1: 3 0 2 1 1" --parity mean-all
check "$1" --arch "enas1: 1 0 3 0 0" --cell plain
echo "the reader agrees with eval on $count models"

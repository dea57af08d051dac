#!/usr/bin/env bash
# Runs script/gpu-check on a bundle of small scripts that stand for the programs of a GPU: bench/gpu_check_test.sh
# Needs python3; without it the test is skipped (77).
set -euo pipefail
command -v python3 >/dev/null || { echo "python3: not found"; exit 77; }
source_tree=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/bundle/peer" "$folder/bin" "$folder/tools"
cp "$source_tree/script/gpu-check" "$folder/bundle/"
bin=$folder/bin

program() { { echo '#!/usr/bin/env bash'; cat; } >"$1"; chmod +x "$1"; }

program "$bin/gpu_ceilings" <<'TEXT'
[ "${FAKE-}" != no_gpu ] || { echo "gpu_ceilings: no CUDA driver was found" >&2; exit 7; }
[ "$1" != --name ] || { echo "Fake GPU, sm_90"; exit; }
[ "${FAKE-}" != no_ceilings ] || { echo "gpu_ceilings: out of memory" >&2; exit 5; }
echo '{"gpu":"Fake GPU","copy_tb_per_s":2,"gemm_8192_f32_tflops":50,"gemm_8192_tf32_tflops":400}'
TEXT
program "$bin/gpu_test" <<'TEXT'
for argument in "$@"; do
  case $argument in
    --gtest_output=json:*) json=${argument#*:} ;;
    --gtest_list_tests) printf 'CudaParity.\n  softmax/3x33\n  softmax/64x1000\n  reduce/2-3\n'; exit ;;
    --gtest_filter=CudaParity.softmax/3x33:CudaParity.reduce/2?3) reduced=1 ;;
  esac
done
[ "${FAKE-}" != parity_hangs ] || [ "${json-}" = "" ] || { echo "[       OK ] A.b (1 ms)"; sleep 60; }
failures=
[ "${FAKE-}" != parity_fails ] || failures='"failures":[{"failure":"x"}],'
[ -z "$failures" ] || echo '[  FAILED  ] CudaParity.softmax/3x33, where GetParam() = 1'
[ -z "${json-}" ] || cat >"$json" <<JSON
{"testsuites":[{"testsuite":[{"name":"softmax/3x33",$failures"classname":"CudaParity","result":"COMPLETED"}]}]}
JSON
echo "guard ${ENAS_CUDA_GUARD-0} poison ${ENAS_CUDA_POISON-0}"
[ -z "$failures" ]
TEXT
program "$bin/enas_ptb" <<'TEXT'
value() { while [ $# -gt 1 ]; do [ "$1" != "$name" ] || { echo "$2"; return; }; shift; done; }
line() { echo "{\"phase\":\"shared\",\"epoch\":1,\"step\":$1,\"loss\":$2}" >>"$3/metrics.jsonl"; }
case $1 in
  search)
    trap 'exit 130' INT
    name=--out; out=$(value "$@"); mkdir -p "$out"
    for step in 1 2 3 4 5 6; do line $step 4.5 "$out"; done
    sleep 20 >/dev/null 2>&1 &
    trap 'kill %1; exit 130' INT
    wait ;;
  resume)
    loss=4.25
    name=--device; device=$(value "$@")
    [ "${FAKE-}" != steps_differ ] || [ "$device" = cpu ] || loss=4.26
    for step in 7 8 9 10 11 12 13 14 15 16; do line $step $loss "$2"; done
    arch='0 1' reward=0.1
    [ "${FAKE-}" != architectures_differ ] || [ "$device" = cpu ] || arch='0 2'
    [ "${FAKE-}" != rewards_differ ] || [ "$device" = cpu ] || arch='0 2' reward=0.12
    echo "{\"phase\":\"controller\",\"step\":1,\"reward\":$reward,\"arch\":\"$arch\"}" >>"$2/metrics.jsonl"
    [ "${FAKE-}" != rewards_differ ] || [ "$device" = cpu ] || loss=9
    line 17 $loss "$2" ;;
  run)
    name=--out; out=$(value "$@"); mkdir -p "$out"; line 1 4.5 "$out"
    weights=1
    [ "${FAKE-}" != weights_differ ] || weights=$out
    [ "${FAKE-}" != poison_shows ] || weights=${ENAS_CUDA_POISON-0}
    echo 1 >"$out/shared.safetensors"
    echo "$weights" >"$out/model.safetensors" ;;
  eval) echo '{"split":"test","ppl":123.4}' ;;
esac
TEXT
cp "$bin/enas_ptb" "$bin/enas_cifar"
program "$bin/op_bench" <<'TEXT'
[ "${FAKE-}" != bench_fails ] || { echo "op_bench: broke" >&2; exit 9; }
echo '{"context":{},"benchmarks":[{"name":"softmax/64x1000/forward","real_time":1000,"time_unit":"ns","bytes":1e12}]}'
TEXT
program "$bin/step_bench" <<'TEXT'
more=
[ "${FAKE-}" != conv_allocates ] || more=2
echo "{\"ms_step_median\":2.5,\"gflops\":5000,\"launches_a_step\":700,\"device_allocations\":${more:-0},\"device_peak_mib\":80}"
TEXT
program "$folder/tools/python-with-torch" <<'TEXT'
[ "$1" != -c ] || exit 0
case $* in
  *cifar_step_gpu.py*--fast*) echo '{"torch":"2.0","fast":{"failed":"RuntimeError: no compiler"}}' ;;
  *cifar_step_gpu.py*) echo '{"torch":"2.0","nhwc":{"ms_step_median":7.5},"nchw":{"ms_step_median":9},"graphed":{"ms_step_median":5}}' ;;
  *) echo '{"torch":"2.0","eager":{"ms_step_median":10},"graphed":{"ms_step_median":5}}' ;;
esac
TEXT
program "$folder/tools/compute-sanitizer" <<'TEXT'
[ "${FAKE-}" != not_attached ] || { echo "========= Error: Device not supported"; exit 1; }
[ "${FAKE-}" != race ] || [ "$2" != racecheck ] ||
  { echo "========= RACECHECK SUMMARY: 3 hazards displayed (3 errors, 0 warnings)"; exit 99; }
echo "========= ERROR SUMMARY: 0 errors"
TEXT

tar -C "$folder" -cJf "$folder/bundle/programs.tar.xz" bin

failed=0
# A case: name, expected exit status, expected texts in gpu.md or the output; FAKE is the name.
expect() {
  local name=$1 want=$2 status=0 wrong=0
  shift 2
  local out=$folder/$name
  FAKE=$name PATH=$folder/tools:$PATH "$folder/bundle/gpu-check" "$out" --torch "$folder/tools/python-with-torch" \
    "${options[@]}" >"$folder/$name.out" 2>&1 || status=$?
  cat "$out/gpu.md" >>"$folder/$name.out" 2>/dev/null || true
  [ $status = "$want" ] || { echo "$name: exit $status, expected $want"; wrong=1; }
  for text in "$@"; do
    grep -qF -- "$text" "$folder/$name.out" || { echo "$name: does not say '$text'"; wrong=1; }
  done
  [ $wrong = 0 ] || { cat "$folder/$name.out"; failed=1; }
}
options=(--data "$folder")
expect passes 0 '| steps | passed |' 'memcheck 0, racecheck 0, initcheck 0, synccheck 0' 'test perplexity 123.40' \
  'softmax/64x1000/forward | 1.00 us | 50.0 %' 'f32 | 2.500 ms a step | 10.0 %' 'we are 4.00 times as fast' \
  'micro: 11 steps from one checkpoint' 'macro: 11 steps from one checkpoint' 'memcheck micro 0, memcheck macro 0' \
  'the same lines and weights three times in both spaces' \
  'macro shared batch 128 f32 | 2.500 ms a step, 700 launches, 80 MiB | 10.0 %' \
  'nhwc, micro batch 160 f32 | 7.500 ms a step | we are 3.00 times as fast' 'micro batch 64 f32 fast: RuntimeError: no compiler'
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["result"] == "passed"' "$folder/passes/gpu.json"
options=()
expect parity_fails 1 'failed: parity' '1 failed: CudaParity.softmax/3x33' '| ops | passed |' '| ptb | skipped | no --data'
expect steps_differ 1 'failed: steps' 'largest relative difference of a loss 0.0024' '| sanitizer | passed |'
expect rewards_differ 0 "micro: 10 steps from one checkpoint (then an update's rewards differ), largest relative difference of a loss 0,"
expect architectures_differ 1 'failed: steps' 'architectures DIFFER'
expect weights_differ 1 'failed: cifar' 'micro: a second run has other model.safetensors'
expect poison_shows 1 'failed: cifar' 'macro: a run in NaN-filled memory has other model.safetensors'
expect conv_allocates 0 'macro controller batch 128 f32: 2 device allocations in warm steps' '| conv | failed |'
expect race 1 'failed: sanitizer' 'racecheck 3'
expect not_attached 0 'sanitizer: cannot run here' 'Device not supported'
grep -q 'guard 1 poison 1' "$folder/not_attached/gpu.log" || { echo "not_attached: no guards"; failed=1; }
expect no_ceilings 0 '| ceilings | failed | RuntimeError: gpu_ceilings ended with 5: gpu_ceilings: out of memory' '| ops | passed |'
expect bench_fails 0 'op_bench ended with 9' '| rnn | passed |'
options=(--parts parity --seconds 2)
expect parity_hangs 1 '8 tests, 0 failed; out of time'
expect no_gpu 7 'no GPU: gpu_ceilings: no CUDA driver was found'
options=(--parts "steps,nonsense")
expect wrong_part 2 "'nonsense' is none of"
exit $failed

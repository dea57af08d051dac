#!/bin/sh
# The gate of cmake/Cuda.cmake holds: nvcc takes a sound kernel and refuses one with a stack frame.
# The kernels themselves passed it when they were built. usage: nvcc_gate.sh [NVCC FLAG...]
if [ $# -eq 0 ]; then
  echo "skipped: no nvcc in this build; kernels were compiled for the CPU alone, their spills were not looked at"
  exit 77
fi
nvcc=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/sound.cu" <<'KERNEL'
__global__ void sound(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }
KERNEL
cat >"$folder/framed.cu" <<'KERNEL'
__global__ void framed(const float* x, float* y, int n) {
  float a[64];
  for (int i = 0; i < 64; ++i) a[i] = x[i * n];
  for (int k = 0; k < n; ++k) a[k & 63] *= x[k];
  for (int i = 0; i < 64; ++i) y[i] = a[i];
}
KERNEL
"$nvcc" "$@" -c "$folder/sound.cu" -o "$folder/sound.o" || { echo "nvcc refuses a sound kernel"; exit 1; }
if "$nvcc" "$@" -c "$folder/framed.cu" -o "$folder/framed.o" 2>"$folder/said"; then
  echo "nvcc took a kernel with a stack frame"
  exit 1
fi
grep -q "stack frame" "$folder/said" || { cat "$folder/said"; exit 1; }
echo "a stack frame is an error"

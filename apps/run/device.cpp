#include "apps/run/device.h"

#include "tensor/gpu.h"

namespace enas {
namespace {

constexpr const char* kNoKernels = "this build has no CUDA kernels";

// Why the GPU cannot compute, library aside; empty where it can.
std::string no_gpu() {
  if constexpr (kWithCuda) return cuda::unavailable();
  return kNoKernels;
}

std::string name_of_place(const GpuRecord& gpu) {
  return gpu.name.empty() ? "the CPU" : gpu.name + " (" + gpu.math + ")";
}

}  // namespace

void check_device(std::string_view device, std::string_view where) {
  if (device != "cuda") return;
  if constexpr (kWithCuda) {
    std::string why = cuda::unavailable();
    if (why.empty()) why = cuda::blas_unavailable();
    check(why.empty(), ErrorKind::device, where, "--device cuda: ", why);
  } else {
    fail(ErrorKind::device, where, "--device cuda: ", kNoKernels,
         "; use --device cpu or auto, or build with the CUDA Toolkit (docs/cuda.md)");
  }
}

Device choose_device(Settings& settings, std::string_view where, Console& console) {
  const std::string asked = settings.text("device");
  const bool automatic = asked == "auto";
  const std::string why = automatic ? no_gpu() : "";
  const std::string chosen = !automatic ? asked : why.empty() ? "cuda" : "cpu";
  check_device(chosen, where);
  settings.set("device", chosen, Origin::option, "option", where);
  const Device device = device_of(settings);
  const GpuRecord gpu = gpu_record(device);
  const std::string how = automatic ? "device auto: " : "device: ";
  if (device == Device::cuda) {
    console.line(how + "cuda, " + gpu.name + "; " + gpu.blas);
  } else if (automatic) {
    console.line(how + "cpu; " + why);
  }
  return device;
}

Device device_of(const Settings& settings) {
  return settings.text("device") == "cuda" ? Device::cuda : Device::cpu;
}

GpuRecord gpu_record(Device device) {
  if constexpr (kWithCuda) {
    if (device == Device::cuda) {
      return {cuda::device_name(), cuda::blas_name(),
              cuda::math() == cuda::Math::tf32 ? "tf32" : "f32"};
    }
  }
  return {};
}

void move_to_device(RunDirectory& run, Device device, Console& console) {
  const GpuRecord now = gpu_record(device), before = run.record().gpu;
  if (now == before) return;
  console.line(run.path() + ": computed on " + name_of_place(before) + " so far, goes on on " +
               name_of_place(now) +
               "; bits may differ from those of a run that stayed where it was");
  run.set_gpu(now);
}

}  // namespace enas

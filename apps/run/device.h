// --device cpu|cuda|auto: where a command computes, and what run.json says of it.
#pragma once
#include <string>
#include <string_view>

#include "apps/run/console.h"
#include "apps/run/options.h"
#include "apps/run/run_directory.h"
#include "tensor/device.h"

namespace enas {

// Refuses (kind device) `--device cuda` where it cannot run: a build without CUDA kernels, no
// driver or GPU, no cuBLAS. Does nothing for cpu and auto. `where` opens the message.
void check_device(std::string_view device, std::string_view where);
// The device of a command, `auto` resolved to cuda where a GPU answers, and a line that says which
// unless it is plain `cpu`. The settings then name it, as if it had been an option, so that
// trainings inside a run go where the run goes.
Device choose_device(Settings& settings, std::string_view where, Console& console);
// What choose_device left in the settings.
Device device_of(const Settings& settings);

// Of this process; all empty on the CPU.
GpuRecord gpu_record(Device device);
// Of a run that goes on: run.json names the device from now on; where it was another one so far, a
// line says that bits may differ.
void move_to_device(RunDirectory& run, Device device, Console& console);

}  // namespace enas

// A small set of images in CIFAR-10's own form, options that search and train on it within a second
// or two, and enas_cifar as a process.
#pragma once
#include <string>

#include "tests/cli/small_run.h"

namespace enas {

// enas_cifar with these arguments, to its end.
Outcome enas_cifar(const TemporaryFolder& folder, const Arguments& arguments, Limits limits = {});

// Writes a folder in the binary form: `images` training images (a tenth is held out) and 40 of the
// test, each class a stripe of its own place and colour in noise. Returns its path.
std::string write_images(const TemporaryFolder& folder, const std::string& name, int images = 200,
                         unsigned seed = 1);

// run, search or train of these sizes on the data into `out`.
Arguments small_images(const std::string& command, const std::string& space,
                       const std::string& data, const std::string& out);

}  // namespace enas

#include "tests/cli/cifar_run.h"

#include <filesystem>
#include <random>

namespace enas {
namespace {

constexpr int kSide = 32, kClasses = 10;

std::string records(int images, std::mt19937& engine) {
  std::string bytes;
  for (int i = 0; i < images; ++i) {
    const int label = i % kClasses;
    bytes += static_cast<char>(label);
    for (int channel = 0; channel < 3; ++channel) {
      for (int y = 0; y < kSide; ++y) {
        for (int x = 0; x < kSide; ++x) {
          const bool stripe = y / 3 == label && channel == label % 3;
          bytes += static_cast<char>((stripe ? 180 : 60) + engine() % 60);
        }
      }
    }
  }
  return bytes;
}

}  // namespace

Outcome enas_cifar(const TemporaryFolder& folder, const Arguments& arguments, Limits limits) {
  return Process(folder, arguments, limits, ENAS_CIFAR).wait();
}

std::string write_images(const TemporaryFolder& folder, const std::string& name, int images,
                         unsigned seed) {
  std::mt19937 engine(seed);
  std::filesystem::create_directories(folder / name);
  folder.write(name + "/data_batch_1.bin", records(images, engine));
  folder.write(name + "/test_batch.bin", records(40, engine));
  folder.write(name + "/batches.meta.txt",
               "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n");
  return folder / name;
}

Arguments small_images(const std::string& command, const std::string& space,
                       const std::string& data, const std::string& out) {
  const bool micro = space == "micro";
  Arguments arguments = {command, "--data",    data, "--out",       out, "--space",
                         space,   "--threads", "1",  "--log-every", "3"};
  const Arguments network = {"filters", micro ? "4" : "5", "batch", "30", "epochs", "2", "pad",
                             "2"};
  const auto with_prefix = [&](const std::string& prefix, const Arguments& pairs) {
    for (size_t i = 0; i < pairs.size(); i += 2)
      arguments = arguments + Arguments{"--" + prefix + pairs[i], pairs[i + 1]};
  };
  if (command != "train") {
    with_prefix("", network);
    with_prefix("", {"layers", micro ? "1" : "3", "reward-batch", "20", "controller-steps", "3",
                     "controller-samples", "2", "controller-hidden", "8", "shared-lr-period", "2"});
    if (micro) with_prefix("", {"nodes", "2"});
  }
  if (command != "search") {
    const std::string prefix = command == "run" ? "train-" : "";
    with_prefix(prefix, network);
    with_prefix(prefix, {"valid-batch", "20", "lr-period", "2"});
    if (micro) with_prefix(prefix, {"layers", "1", "auxiliary", "on"});
  }
  if (command == "run") with_prefix("", {"samples", "3", "top", "2"});
  if (command == "train")
    with_prefix("", {"arch", micro ? "0 0 1 2 1 4 0 3 0 1 1 2 2 4 0 0" : "3 0 1 4 1 0"});
  return arguments;
}

}  // namespace enas

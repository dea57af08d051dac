// enas_cifar --device cuda, with the kernels on the CPU (cuda/host/), against the same command on
// the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <regex>

#include "tests/cli/cifar_run.h"

namespace enas {
namespace {

#ifdef ENAS_CIFAR_ON_HOST
constexpr const char* kProgram = ENAS_CIFAR_ON_HOST;
#else
constexpr const char* kProgram = nullptr;
#endif

// Values of a key in the order of the lines.
std::vector<double> values_of(const std::string& run, const std::string& key) {
  const std::string text = text_of(run + "/metrics.jsonl"), quoted = "\"" + key + "\":";
  std::vector<double> values;
  for (size_t at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at + 1))
    values.push_back(std::atof(text.c_str() + at + quoted.size()));
  return values;
}

class CifarDevices : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (kProgram == nullptr)
      GTEST_SKIP() << "kernels run on the CPU of x86-64 only, without ThreadSanitizer";
  }
  // A few steps of few images: the shim runs each CUDA thread as a fiber.
  Arguments tiny(const std::string& command, const std::string& out) const {
    Arguments call = small_images(command, GetParam(), data_, out);
    for (const char* option : {"--batch", "--reward-batch", "--valid-batch"}) {
      if (std::find(call.begin(), call.end(), option) != call.end()) call = with(call, option, "4");
    }
    if (std::find(call.begin(), call.end(), "--filters") != call.end())
      call = with(call, "--filters", "2");
    if (command != "train") call = with(call, "--controller-steps", "1");
    return with(with(call, "--epochs", "1"), "--log-every", "1") + Arguments{"--max-steps", "2"};
  }
  void expect_close(const std::string& key, double relative) {
    const std::vector<double> cpu = values_of(folder_ / "cpu", key),
                              cuda = values_of(folder_ / "cuda", key);
    ASSERT_EQ(cuda.size(), cpu.size()) << key;
    ASSERT_FALSE(cpu.empty()) << key;
    for (size_t i = 0; i < cpu.size(); ++i)
      EXPECT_NEAR(cuda[i], cpu[i], relative * std::fabs(cpu[i])) << key << " number " << i;
  }
  const TemporaryFolder folder_;
  const std::string data_ = write_images(folder_, "images", 20);
};
INSTANTIATE_TEST_SUITE_P(Both, CifarDevices, testing::Values("macro", "micro"),
                         [](const auto& space) { return std::string(space.param); });

TEST_P(CifarDevices, SearchAndTrainStayTogether) {
  for (const char* command : {"search", "train"}) {
    std::filesystem::remove_all(folder_ / "cpu");
    std::filesystem::remove_all(folder_ / "cuda");
    ASSERT_EQ(enas_cifar(folder_, tiny(command, folder_ / "cpu")).code, 0);
    const Outcome cuda =
        Process(folder_, tiny(command, folder_ / "cuda") + Arguments{"--device", "cuda"}, {},
                kProgram)
            .wait();
    ASSERT_EQ(cuda.code, 0) << cuda.all();
    EXPECT_NE(cuda.out.find("device: cuda"), std::string::npos) << cuda.out;
    expect_close("loss", 1e-3);
    expect_close("grad_norm", 1e-2);
  }
}

TEST_P(CifarDevices, APlanCountsAStepThatIsNotRun) {
  const Arguments call =
      with(with(tiny("run", folder_ / "run"), "--train-batch", "4"), "--train-filters", "2");
  const Outcome plan =
      Process(folder_, call + Arguments{"--plan", "--device", "cuda"}, {}, kProgram).wait();
  ASSERT_EQ(plan.code, 0) << plan.all();
  const std::regex counted(
      R"(launches ([0-9]+): .*\n  products ([0-9]+): [.0-9]+ GFLOP, ([.0-9]+) times.*\n.*\n)"
      R"(  device memory [0-9]+ MiB at the peak, of it [0-9]+ before .* waits 0 times)");
  for (const char* phase : {"search on the GPU", "train on the GPU"}) {
    const size_t at = plan.out.find(phase);
    ASSERT_NE(at, std::string::npos) << plan.out;
    const std::string part = plan.out.substr(at);
    std::smatch found;
    ASSERT_TRUE(std::regex_search(part, found, counted)) << plan.out;
    EXPECT_GT(std::stoi(found[1]), 30) << phase;
    EXPECT_LT(std::stod(found[3]), 1.05) << phase;  // convolutions are no products of cuBLAS
  }
  EXPECT_NE(plan.out.find("H200, f32"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

}  // namespace
}  // namespace enas

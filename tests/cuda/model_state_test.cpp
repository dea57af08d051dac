// What outlives a step, on a device: initial values, optimizer slots, averages, checkpoints. The
// same bits and the same files as on the CPU, and a run may move between devices.
#include <gtest/gtest.h>

#include "cuda/runtime.h"
#include "nn/adam.h"
#include "nn/average.h"
#include "nn/checkpoint.h"
#include "nn/init.h"
#include "nn/parameter.h"
#include "nn/sgd.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"
#include "tests/temporary_folder.h"

namespace enas::test {
namespace {

// The sums of the norm run in another order, and a GPU fuses products and sums.
constexpr double kBound = 1e-14;

struct Model {
  ParameterStore store;
  explicit Model(Device device) : store(device) {
    for (const char* name : {"a", "b", "unused"}) {
      init_uniform(store.add(name, {name[0] == 'a' ? 3 : 41, 7}, DType::f64), 0.5, 1);
    }
  }
  std::vector<Parameter*> all() { return store.all(); }
  // Gradients for all but the last.
  std::vector<Parameter*> used(uint64_t step) {
    std::vector<Parameter*> list = all();
    list.pop_back();
    for (Parameter* p : list)
      p->grad = random_tensor(p->value.shape(), step, DType::f64).to(store.device());
    return list;
  }
  Tensor loss() const { return Tensor::full({1}, 1, DType::f64, store.device()); }
};

void expect_same(Model& got, Model& want, double relative = kBound) {
  for (Parameter& p : want.store) {
    EXPECT_EQ(got.store.get(p.name).value.device(), got.store.device());
    expect_near(got.store.get(p.name).value, p.value, relative);
  }
}

template <class Stateful>
std::map<std::string, Tensor> state_of(const Stateful& object) {
  std::map<std::string, Tensor> out;
  object.state(out, "s.");
  return out;
}

TEST(CudaModelState, InitialValuesHaveTheSameBits) {
  Model here(Device::cpu), there(Device::cuda);
  init_normal(here.store.get("b"), 0.1, 3);
  init_normal(there.store.get("b"), 0.1, 3);
  init_constant(here.store.get("unused"), 0.7);
  init_constant(there.store.get("unused"), 0.7);
  expect_same(there, here, 0);
  EXPECT_NE(there.store.get("a").value.item(), 0);
}

// Steps on both devices; then each continues from the other's state.
template <class Optimizer, class Options>
void compare_optimizers(const Options& options) {
  Model here(Device::cpu), there(Device::cuda);
  Optimizer cpu(options), gpu(options);
  const auto steps = [&](uint64_t first) {
    for (uint64_t step = first; step < first + 3; ++step) {
      const uint64_t waits = cuda::counters().waits;
      const Tensor gate = gpu.step(there.used(step), 0.25, there.loss());
      EXPECT_EQ(cuda::counters().waits, waits);
      EXPECT_EQ(gate.device(), Device::cuda);
      cpu.step(here.used(step), 0.25, here.loss());
    }
    expect_same(there, here);
  };
  steps(1);
  const auto of_cpu = state_of(cpu), of_gpu = state_of(gpu);
  ASSERT_EQ(of_cpu.size(), of_gpu.size());
  for (const auto& [name, value] : of_cpu) {
    EXPECT_EQ(of_gpu.at(name).device(), Device::cuda) << name;
    expect_near(of_gpu.at(name), value, kBound);
  }
  Optimizer moved_to_cpu(options), moved_to_gpu(options);
  moved_to_cpu.load_state(of_gpu, "s.");
  moved_to_gpu.load_state(of_cpu, "s.");
  cpu = moved_to_cpu;
  gpu = moved_to_gpu;
  steps(4);
}

TEST(CudaModelState, SgdContinuesOnTheOtherDevice) {
  compare_optimizers<Sgd>(SgdOptions{.momentum = 0.9, .nesterov = true, .clip = 1, .decay = 1e-2});
  compare_optimizers<Sgd>(SgdOptions{.clip = 1, .decay = 1e-2, .dense = true});
}

TEST(CudaModelState, AdamContinuesOnTheOtherDevice) {
  compare_optimizers<Adam>(AdamOptions{.clip = 1});
}

TEST(CudaModelState, AveragesSwapAndContinueOnTheOtherDevice) {
  Model here(Device::cpu), there(Device::cuda);
  WeightAverage cpu({.start_step = 0}), gpu({.start_step = 0});
  const Tensor gate = Tensor::from({1, 1, 1, 0}, {4}, DType::f64),
               there_too = gate.to(Device::cuda);
  const auto steps = [&](int64_t first) {
    for (int64_t step = first; step < first + 3; ++step) {
      for (Model* m : {&here, &there})
        for (Parameter& p : m->store) init_normal(p, 1, static_cast<uint64_t>(step));
      cpu.update(here.all(), step, gate);
      gpu.update(there.all(), step, there_too);
    }
    WeightAverage::Scope averages_here(cpu, here.all());
    const uint64_t waits = cuda::counters().waits;
    const uint32_t version = there.store.get("a").value.version();
    WeightAverage::Scope averages_there(gpu, there.all());
    EXPECT_EQ(cuda::counters().waits, waits);
    EXPECT_GT(there.store.get("a").value.version(), version);
    expect_same(there, here);
  };
  steps(0);
  expect_same(there, here, 0);  // the weights are back
  const auto of_cpu = state_of(cpu), of_gpu = state_of(gpu);
  for (const auto& [name, value] : of_cpu) expect_near(of_gpu.at(name), value, kBound);
  cpu.load_state(of_gpu, "s.");
  gpu.load_state(of_cpu, "s.");
  steps(3);
}

TEST(CudaModelState, FilesDoNotTellTheDevice) {
  const TemporaryFolder folder;
  Checkpoint checkpoint[2];
  TensorFile file[2];
  for (const Device device : {Device::cpu, Device::cuda}) {
    const auto d = static_cast<size_t>(device);
    const std::string path = folder / (device == Device::cpu ? "cpu" : "cuda");
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32}) {
      const std::string name(name_of(dtype));
      const Tensor t = Tensor::from({1, -2, 3, 4, 5, 6, 7}, {7}, dtype).to(device).slice(1, 6);
      checkpoint[d].tensors[name] = file[d].tensors[name] = t;
    }
    write_safetensors(path, file[d]);
    CheckpointFolder(path + ".ckpt").save(checkpoint[d]);
  }
  const std::string here = text_of(folder / "cpu");
  EXPECT_GT(here.size(), 100u);
  EXPECT_EQ(text_of(folder / "cuda"), here);
  EXPECT_EQ(text_of(folder / "cuda.ckpt/a.safetensors"),
            text_of(folder / "cpu.ckpt/a.safetensors"));

  const auto loaded = CheckpointFolder(folder / "cpu.ckpt").load_latest();
  ASSERT_TRUE(loaded.has_value());
  Tensor target = Tensor::zeros({5}, DType::f64, Device::cuda);
  const uint32_t version = target.version();
  loaded->restore("f64", target);
  EXPECT_EQ(target.device(), Device::cuda);
  EXPECT_EQ(target.to_vector(), (std::vector<double>{-2, 3, 4, 5, 6}));
  EXPECT_GT(target.version(), version);
}

}  // namespace
}  // namespace enas::test

// Whole steps of the convolutional networks: the same bits for any number of threads, nothing kept
// of a step that was not finite, dense updates.
#include "nas/macro/child.h"
#include "nas/macro/final.h"
#include "nas/micro/child.h"
#include "nas/micro/final.h"
#include "tensor/thread_pool.h"
#include "tests/nas/image_networks.h"

namespace enas::test {
namespace {

constexpr int32_t kClasses = 3;

ImageBatch batch(int64_t n = 12, int64_t size = 9) {
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < n; ++i) labels.push_back(static_cast<int32_t>(i % kClasses));
  return {random_images(n, size, size, DType::f32), Tensor::from_indices(labels, {n})};
}

template <class Net>
std::map<std::string, std::string> bytes_of_all(Net& net, const Sgd& sgd) {
  std::map<std::string, std::string> bytes = bytes_of(net.parameters());
  for (const auto& [name, slot] : bytes_of(sgd)) bytes[name] = slot;
  for (const Buffer& b : net.parameters().buffers()) bytes[b.name] = bytes_of(b.value);
  return bytes;
}

// Weights, slots, running statistics and scores after some steps.
template <class Net>
std::map<std::string, std::string> trained(Net& net, const std::vector<Architecture>& archs) {
  ImageTaskOptions options;
  options.reward_batch = 16;
  options.drop_path_steps = 4;
  options.moments = {{0.5, 0.4, 0.3}, {0.2, 0.3, 0.2}};
  ImageTask<Net> task(net, options, random_image_set(40, 9, kClasses));
  Sgd sgd({.momentum = 0.9, .nesterov = true, .clip = 5, .decay = 1e-3});
  Tape tape;
  uint64_t step = 0;
  for (const Architecture& arch : archs)
    shared_step(tape, task, {&arch, 1}, batch(), step++, sgd, 0.05);
  auto bytes = bytes_of_all(net, sgd);
  bytes["score"] = std::to_string(task.score(archs[0]).nll);
  return bytes;
}

MicroFinalOptions micro_final_options() {
  MicroFinalOptions options;
  options.normal_cells = 1, options.filters = 5, options.classes = kClasses;
  options.auxiliary = false;
  return options;
}
MacroFinalOptions macro_final_options() {
  MacroFinalOptions options;
  options.filters = 5, options.classes = kClasses;
  return options;
}

std::map<std::string, std::string> all_trained(int threads) {
  set_thread_count(threads);
  std::map<std::string, std::string> all;
  const auto add = [&](const char* which, auto&& net, const std::vector<Architecture>& archs) {
    for (const auto& [name, bytes] : trained(net, archs)) all[which + (" " + name)] = bytes;
  };
  const MacroSpace macro(3);
  const MicroSpace micro(3);
  const auto layers = some_architectures(macro, 3), cells = some_architectures(micro, 3);
  MacroChildOptions macro_options;
  macro_options.filters = 5, macro_options.classes = kClasses;
  add("macro child", MacroChild(macro, macro_options, 1), layers);
  MicroChildOptions micro_options;
  micro_options.normal_cells = 1, micro_options.filters = 5, micro_options.classes = kClasses;
  add("micro child", MicroChild(micro, micro_options, 1), cells);
  for (size_t i = 0; i < 3; ++i) {
    add(("macro final " + std::to_string(i)).c_str(),
        MacroFinal(macro, layers[i], macro_final_options(), 1), {layers[i], layers[i]});
    add(("micro final " + std::to_string(i)).c_str(),
        MicroFinal(micro, cells[i], micro_final_options(), 1), {cells[i], cells[i]});
  }
  return all;
}

TEST(ImageSteps, SameBitsForAnyNumberOfThreads) {
  const int before = thread_count();
  const auto want = all_trained(1);
  for (const int threads : {2, 3, 8}) {
    for (const auto& [name, bytes] : all_trained(threads))
      EXPECT_TRUE(bytes == want.at(name)) << name << " with " << threads << " threads";
  }
  set_thread_count(before);
}

// Pixels that are not finite: weights, slots and running statistics keep their bits.
template <class Net>
void expect_nothing_kept(Net& net, const Architecture& arch) {
  ImageTask<Net> task(net, {}, random_image_set(8, 9, kClasses));
  Sgd sgd({.momentum = 0.9, .decay = 1e-3});
  Tape tape;
  ASSERT_TRUE(shared_step(tape, task, {&arch, 1}, batch(), 0, sgd, 0.05).finite());
  const auto before = bytes_of_all(net, sgd);
  ImageBatch bad = batch();
  bad.images.template data<float>()[5] = std::nanf("");
  const StepReport report = shared_step(tape, task, {&arch, 1}, bad, 1, sgd, 0.05);
  EXPECT_FALSE(report.finite());
  EXPECT_EQ(bytes_of_all(net, sgd) == before, true);
  ASSERT_TRUE(shared_step(tape, task, {&arch, 1}, batch(), 2, sgd, 0.05).finite());
  for (const Buffer& b : net.parameters().buffers())
    EXPECT_NE(bytes_of(b.value), before.at(b.name)) << b.name;
}

TEST(ImageSteps, AStepThatIsNotFiniteKeepsNothing) {
  const MacroSpace macro(3);
  const MicroSpace micro(2);
  const Architecture layers = some_architectures(macro, 1)[0],
                     cells = some_architectures(micro, 1)[0];
  MacroFinal macro_final(macro, layers, macro_final_options(), 1);
  expect_nothing_kept(macro_final, layers);
  MicroFinal micro_final(micro, cells, micro_final_options(), 1);
  expect_nothing_kept(micro_final, cells);
  MacroChildOptions options;
  options.filters = 4, options.classes = kClasses, options.running_bn = true;
  MacroChild child(macro, options, 1, DType::f32, &layers);
  expect_nothing_kept(child, layers);
}

TEST(ImageSteps, DenseMovesEveryWeightAndSlot) {
  const MicroSpace space(2);
  MicroChildOptions options;
  options.normal_cells = 1, options.filters = 2, options.classes = kClasses;
  MicroChild child(space, options, 1);
  roughen(child.parameters());
  ImageTask<MicroChild> task(child, {}, random_image_set(8, 9, kClasses));
  Sgd sgd({.momentum = 0.9, .decay = 1e-3, .dense = true});
  Tape tape;
  const auto archs = some_architectures(space, 2);
  shared_step(tape, task, {archs.data(), 1}, batch(), 0, sgd, 0.05);
  const auto before = bytes_of_all(child, sgd);
  EXPECT_EQ(bytes_of(sgd).size(), child.parameters().size());
  shared_step(tape, task, {&archs[1], 1}, batch(), 1, sgd, 0.05);
  for (const auto& [name, bytes] : bytes_of_all(child, sgd))
    EXPECT_NE(bytes, before.at(name)) << name;
}

// Several architectures a step share its batch; each draws its own masks.
TEST(ImageSteps, SeveralArchitecturesAStep) {
  const MacroSpace space(3);
  const auto archs = some_architectures(space, 3);
  const auto weights = [&](size_t count) {
    MacroChildOptions options;
    options.filters = 4, options.classes = kClasses;
    MacroChild child(space, options, 1);
    ImageTask<MacroChild> task(child, {}, random_image_set(8, 9, kClasses));
    Sgd sgd;
    Tape tape;
    const StepReport report = shared_step(tape, task, {archs.data(), count}, batch(), 0, sgd, 0.05);
    EXPECT_TRUE(report.finite());
    EXPECT_EQ(task.last_score().read().images, static_cast<int64_t>(12 * count));
    EXPECT_NEAR(count == 1 ? task.last_score().read().loss() - report.loss() : 0, 0, 1e-6);
    return bytes_of(child.parameters());
  };
  EXPECT_NE(weights(1), weights(3));
  EXPECT_EQ(weights(3), weights(3));
}

}  // namespace
}  // namespace enas::test

// A convolutional network with a task of synthetic images and an optimizer, on one device: what the
// tests of steps on Device::cuda hold against the CPU.
#pragma once
#include "nas/macro/child.h"
#include "nas/micro/child.h"
#include "tests/nas/image_networks.h"

namespace enas::test {

struct ImageSizes {
  int64_t batch = 6, size = 9;
  int32_t classes = 3;
};

inline ImageTaskOptions image_task_options(const ImageSizes& sizes) {
  ImageTaskOptions options;
  options.reward_batch = sizes.batch;
  options.drop_path_steps = 8;
  options.moments = {{0.5, 0.4, 0.3}, {0.2, 0.3, 0.2}};
  return options;
}

template <class Net>
struct ImageSearch {
  ImageSearch(Net& network, const ImageSizes& of)
      : net(network),
        sizes(of),
        task(net, image_task_options(of), random_image_set(2 * of.batch, of.size, of.classes)) {
    std::vector<int32_t> list;
    for (int64_t i = 0; i < of.batch; ++i) list.push_back(static_cast<int32_t>(i * 5 % of.classes));
    labels = Tensor::from_indices(list, {of.batch});
  }
  StepReport step(const Architecture& arch, uint64_t number, const Tensor& previous = {}) {
    return shared_step(tape, task, {&arch, 1}, batch(number), number, sgd, 0.02, previous);
  }
  ImageBatch batch(uint64_t number) const {
    const Tensor images = random_images(sizes.batch, sizes.size, sizes.size, net.dtype(), number);
    return {images.to(net.device()), labels};
  }
  // The same step in its halves: the update takes the gradients away.
  Var backward(const Architecture& arch, uint64_t number) {
    tape.clear();
    const Var loss = task.train_loss(tape, arch, batch(number), number);
    tape.backward(loss);
    return loss;
  }
  StepReport update(const Var& loss) {
    const Tensor gate = sgd.step(tape.parameters(), 0.02, loss.value());
    task.finish_step(gate);
    return StepReport(gate);
  }
  Net& net;
  ImageSizes sizes;
  ImageTask<Net> task;
  Tensor labels;
  Sgd sgd{{.momentum = 0.9, .nesterov = true, .clip = 5, .decay = 1e-3}};
  Tape tape;
};

// Both search networks, on a device, in a dtype.
inline std::unique_ptr<MacroChild> macro_child(int layers, int64_t filters, int32_t classes,
                                               DType dtype, Device device) {
  MacroChildOptions options;
  options.filters = filters, options.classes = classes;
  return std::make_unique<MacroChild>(MacroSpace(layers), options, 1, dtype, nullptr, device);
}
inline std::unique_ptr<MicroChild> micro_child(int nodes, int cells, int64_t filters,
                                               int32_t classes, DType dtype, Device device) {
  MicroChildOptions options;
  options.normal_cells = cells, options.filters = filters, options.classes = classes;
  return std::make_unique<MicroChild>(MicroSpace(nodes), options, 1, dtype, nullptr, device);
}

// One search step from the same start: its loss, its norm and the gradient of every weight that it
// used. `bound`: of the distance of a gradient, relative to its length, or to a thousandth of the
// longest one.
template <class Net>
void expect_same_step(Net& here, Net& there, const ImageSizes& sizes, const Architecture& arch,
                      double bound) {
  ImageSearch<Net> cpu(here, sizes), cuda(there, sizes);
  const Var loss_here = cpu.backward(arch, 0), loss_there = cuda.backward(arch, 0);
  const std::vector<Parameter*> used = cpu.tape.parameters();
  ASSERT_EQ(names_of(cuda.tape.parameters()), names_of(used));
  std::map<std::string, double> length;
  double longest = 0;
  for (const Parameter* p : used) {
    for (const double v : p->grad.to_vector()) length[p->name] += v * v;
    longest = std::max(longest, std::sqrt(length[p->name]));
  }
  for (const Parameter* p : used) {
    const Tensor& gradient = there.parameters().get(p->name).grad;
    ASSERT_TRUE(gradient.defined()) << p->name;
    EXPECT_EQ(gradient.device(), Device::cuda) << p->name;
    const std::vector<double> a = gradient.to_vector(), b = p->grad.to_vector();
    ASSERT_EQ(a.size(), b.size()) << p->name;
    double distance = 0;
    for (size_t i = 0; i < b.size(); ++i) distance += (a[i] - b[i]) * (a[i] - b[i]);
    EXPECT_LE(std::sqrt(distance), bound * std::max(std::sqrt(length[p->name]), 1e-3 * longest))
        << p->name;
  }
  const StepReport want = cpu.update(loss_here), got = cuda.update(loss_there);
  ASSERT_TRUE(want.finite() && got.finite());
  EXPECT_NEAR(got.loss(), want.loss(), bound * want.loss());
  EXPECT_NEAR(got.grad_norm(), want.grad_norm(), bound * want.grad_norm());
}

}  // namespace enas::test

// The three phases of a search in the recurrent space as one callable each, on synthetic text: the
// app's own step functions (nas/search.h), nothing of their bodies repeated here.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/step_cost.h"
#include "nas/rnn/child.h"

namespace enas::bench {

struct RnnBenchOptions {
  int64_t hidden = 1000, nodes = 11, batch = 64, bptt = 35, controller_hidden = 100;
  int64_t vocabulary = 10000;
  Share share = Share::edge_op;
  Device device = Device::cpu;
  uint64_t seed = 1;
};

class RnnSteps {
 public:
  // archs: texts to cycle through; none: a uniform sample.
  RnnSteps(const RnnBenchOptions& options, const std::vector<std::string>& archs);
  ~RnnSteps();

  void shared();          // sample one architecture, then a training step of it
  void reward();          // forward pass of one validation batch
  void controller();      // one sample, backward, Adam, with a constant reward
  void wait();            // for the device; a step leaves its work queued
  double tokens() const;  // a window
  StepCost cost() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace enas::bench

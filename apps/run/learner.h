// A network with its data, as the stages of a run see it: functions that an app makes over its own
// child and task (nas/search.h). They own what they refer to.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "nas/search.h"
#include "nn/checkpoint.h"
#include "nn/parameter.h"

namespace enas {

struct Learner {
  ParameterStore* weights = nullptr;  // with the buffers beside them
  std::function<std::string(const Architecture&)> text;

  // Training. begin_epoch gives the items (tokens, images) of each batch; the two after it speak of
  // the epoch that was begun last.
  std::function<std::vector<int64_t>(int64_t epoch)> begin_epoch;
  std::function<double(double lr, int64_t batch)> rate;  // of that batch; empty: lr
  // Of the step before its first batch, where an epoch begins; may be empty.
  std::function<void()> reset;
  struct Step {
    StepReport report;
    std::function<double()> measure;  // the mean over the batch's items (Terms::figure_of); waits
  };
  // nas/search.h's shared_step on a batch; number: of the step, from 0, over all epochs.
  std::function<Step(Tape& tape, std::span<const Architecture> architectures, int64_t batch,
                     uint64_t number, Sgd& sgd, double lr, const Tensor& previous)>
      step;

  // Held-out data. rewards: as nas/search.h's score_samples asks.
  std::function<std::vector<double>(std::span<const Architecture>, uint64_t first)> rewards;
  int64_t score_batches = 0;
  // The figure on the first so many batches; 0: all.
  std::function<double(const Architecture&, int64_t batches)> score;
  // "a score from 640 tokens has a standard error of some 9.9 %".
  std::function<std::string(int64_t batches)> noise;

  // What a checkpoint keeps beside weights and buffers; may be empty.
  std::function<void(std::map<std::string, Tensor>& out)> state;
  std::function<void(const Checkpoint& from)> load_state;
};

}  // namespace enas

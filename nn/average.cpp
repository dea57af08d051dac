#include "nn/average.h"

#include <algorithm>
#include <cmath>

#include "nn/update_items.h"
#include "ops/optimizer_update.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

void swap_values(Tensor& a, Tensor& b) {
  if (a.device() != Device::cpu) {  // three copies in the device's order, without a wait
    const Tensor kept = a.clone();
    a.copy_from(b);
    b.copy_from(kept);
    return;
  }
  constexpr int64_t kGrain = 1 << 16;
  auto *left = static_cast<unsigned char*>(a.raw()), *right = static_cast<unsigned char*>(b.raw());
  parallel_for(static_cast<int64_t>(a.bytes()), kGrain, [&](int64_t begin, int64_t end) {
    std::swap_ranges(left + begin, left + end, right + begin);
  });
}

}  // namespace

Tensor& WeightAverage::average_of(const Parameter& p) {
  const auto it = averages_.find(p.name);
  check(it != averages_.end(), ErrorKind::checkpoint, "average", "has no mean of ", p.name,
        "; resume with the configuration that wrote it");
  check(it->second.shape() == p.value.shape() && it->second.dtype() == p.value.dtype(),
        ErrorKind::checkpoint, "average", "mean of ", p.name, " is ", it->second.shape(),
        ", the parameter ", p.value.shape());
  it->second = it->second.to(p.value.device());  // one from a checkpoint is on the CPU
  return it->second;
}

void WeightAverage::update(std::span<Parameter* const> all, int64_t step, const Tensor& gate) {
  check(!swapped_, "average", "update while the averages are swapped in");
  if (!triggered_ && (options_.start_step == AverageOptions::kNever || step < options_.start_step))
    return;
  if (!started()) {
    for (const Parameter* p : all) averages_[p->name] = p->value.clone();
    count_ = Tensor::zeros({1}, DType::f64);
  }
  count_ = count_.to(gate.device());
  std::vector<AverageItem> items;
  items.reserve(all.size());
  for (const Parameter* p : all) items.push_back({p->value, average_of(*p)});
  average_update(items, count_, gate);
}

bool WeightAverage::observe(double loss) {
  bool starts = false;
  if (options_.window > 0 && !triggered_) {
    const auto seen = static_cast<int64_t>(history_.size());
    if (seen > options_.window) {
      starts = !(loss <= *std::min_element(history_.begin(), history_.end() - options_.window));
    }
  }
  history_.push_back(std::isnan(loss) ? std::numeric_limits<double>::infinity() : loss);
  triggered_ = triggered_ || starts;
  return starts;
}

void WeightAverage::swap(std::span<Parameter* const> all) {
  check(started(), "average", "swap before averaging has begun");
  for (const Parameter* p : all) average_of(*p);  // all or none
  for (Parameter* p : all) {
    swap_values(p->value, average_of(*p));
    p->value.bump_version();
  }
  swapped_ = !swapped_;
}

WeightAverage::Scope::Scope(WeightAverage& average, std::span<Parameter* const> all)
    : average_(average), all_(all.begin(), all.end()) {
  check(!average_.swapped(), "average", "the averages are swapped in already");
  if (average_.started()) average_.swap(all_);
}

WeightAverage::Scope::~Scope() {
  if (average_.swapped()) average_.swap(all_);
}

void WeightAverage::state(std::map<std::string, Tensor>& out, const std::string& prefix) const {
  check(!swapped_, "average", "state while the averages are swapped in");
  for (const auto& [name, mean] : averages_) out[prefix + "average." + name] = mean;
  if (count_.defined()) out[prefix + "count"] = count_;
  out[prefix + "triggered"] = Tensor::from({triggered_ ? 1.0 : 0.0}, {1}, DType::f64);
  out[prefix + "history"] =
      Tensor::from(history_, {static_cast<int64_t>(history_.size())}, DType::f64);
}

void WeightAverage::load_state(const std::map<std::string, Tensor>& in, const std::string& prefix) {
  WeightAverage loaded(options_);
  detail::for_each_under(in, prefix, [&](std::string_view key, const Tensor& value) {
    constexpr std::string_view kAverage = "average.";
    if (key.substr(0, kAverage.size()) == kAverage) {
      loaded.averages_[std::string(key.substr(kAverage.size()))] = value.clone();
      return;
    }
    check(value.dtype() == DType::f64 && (key == "history" || value.numel() == 1),
          ErrorKind::checkpoint, "average", "state ", prefix, key, " is ", value.dtype(), " ",
          value.shape());
    if (key == "count") {
      loaded.count_ = value.clone();
    } else if (key == "triggered") {
      loaded.triggered_ = value.item() != 0;
    } else if (key == "history") {
      loaded.history_ = value.to_vector();
    } else {
      fail(ErrorKind::checkpoint, "average", "unexpected state ", prefix, key);
    }
  });
  check(loaded.count_.defined() == loaded.started(), ErrorKind::checkpoint, "average",
        "state under ", prefix, " holds only one of count and averages");
  *this = std::move(loaded);
}

}  // namespace enas

#include "nn/adam.h"

#include "nn/update_items.h"
#include "ops/optimizer_update.h"

namespace enas {

Adam::Adam(AdamOptions options) : options_(std::move(options)) {
  const auto is_beta = [](double beta) { return beta >= 0 && beta < 1; };
  check(is_beta(options_.beta1) && is_beta(options_.beta2), ErrorKind::usage, "adam",
        "betas must be in [0, 1), got ", options_.beta1, " and ", options_.beta2);
  check(options_.epsilon > 0, ErrorKind::usage, "adam", "epsilon must be positive, got ",
        options_.epsilon);
  check(options_.clip >= 0 && options_.decay >= 0, ErrorKind::usage, "adam",
        "clip and decay must not be negative, got ", options_.clip, " and ", options_.decay);
}

Tensor Adam::step(std::span<Parameter* const> used, double lr, const Tensor& loss,
                  const Tensor& previous) {
  auto items = detail::update_items("adam", options_, used, [&](Parameter& p, UpdateItem& item) {
    Slots& slots = slots_[p.name];
    item.slot0 = detail::slot_for(slots.m, "adam", p);
    item.slot1 = detail::slot_for(slots.v, "adam", p);
    const Device device = p.value.device();
    slots.t = slots.t.defined() ? slots.t.to(device) : Tensor::zeros({1}, DType::f64, device);
    item.step = slots.t;
  });
  const Tensor gate = grad_norm(items, options_.clip, loss, previous);
  optimizer_update(AdamRule{lr, options_.beta1, options_.beta2, options_.epsilon}, items, gate);
  return gate;
}

void Adam::state(std::map<std::string, Tensor>& out, const std::string& prefix) const {
  for (const auto& [name, slots] : slots_) {
    out[prefix + name + ".m"] = slots.m;
    out[prefix + name + ".v"] = slots.v;
    out[prefix + name + ".t"] = slots.t;
  }
}

void Adam::load_state(const std::map<std::string, Tensor>& in, const std::string& prefix) {
  decltype(slots_) loaded;
  detail::for_each_under(in, prefix, [&](std::string_view key, const Tensor& value) {
    const std::string_view whole = key;
    if (detail::cut_suffix(key, ".m")) {
      loaded[std::string(key)].m = value.clone();
    } else if (detail::cut_suffix(key, ".v")) {
      loaded[std::string(key)].v = value.clone();
    } else {
      check(detail::cut_suffix(key, ".t") && value.dtype() == DType::f64 && value.numel() == 1,
            ErrorKind::checkpoint, "adam", "unexpected state ", prefix, whole,
            "; expected NAME.m, NAME.v and NAME.t (f64 [1])");
      loaded[std::string(key)].t = value.clone();
    }
  });
  for (const auto& [name, slots] : loaded) {
    check(slots.m.defined() && slots.v.defined() && slots.t.defined(), ErrorKind::checkpoint,
          "adam", "state of ", prefix, name, " lacks one of .m, .v, .t");
  }
  slots_ = std::move(loaded);
}

}  // namespace enas

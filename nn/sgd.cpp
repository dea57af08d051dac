#include "nn/sgd.h"

#include "nn/update_items.h"
#include "ops/optimizer_update.h"

namespace enas {

Sgd::Sgd(SgdOptions options) : options_(std::move(options)) {
  check(options_.momentum >= 0 && options_.momentum < 1, ErrorKind::usage, "sgd",
        "momentum must be in [0, 1), got ", options_.momentum);
  check(!options_.nesterov || options_.momentum > 0, ErrorKind::usage, "sgd",
        "nesterov needs a momentum above 0");
  check(options_.clip >= 0 && options_.decay >= 0, ErrorKind::usage, "sgd",
        "clip and decay must not be negative, got ", options_.clip, " and ", options_.decay);
}

Tensor Sgd::step(std::span<Parameter* const> used, double lr, const Tensor& loss,
                 const Tensor& previous) {
  auto items = detail::update_items("sgd", options_, used, [&](Parameter& p, UpdateItem& item) {
    if (options_.momentum > 0) item.slot0 = detail::slot_for(momentum_[p.name], "sgd", p);
  });
  const Tensor gate = grad_norm(items, options_.clip, loss, previous);
  optimizer_update(SgdRule{lr, options_.momentum, options_.nesterov}, items, gate);
  return gate;
}

void Sgd::state(std::map<std::string, Tensor>& out, const std::string& prefix) const {
  for (const auto& [name, slot] : momentum_) out[prefix + name + ".momentum"] = slot;
}

void Sgd::load_state(const std::map<std::string, Tensor>& in, const std::string& prefix) {
  decltype(momentum_) loaded;
  detail::for_each_under(in, prefix, [&](std::string_view key, const Tensor& value) {
    check(options_.momentum > 0 && detail::cut_suffix(key, ".momentum"), ErrorKind::checkpoint,
          "sgd", "unexpected state ", prefix, key, " with momentum ", options_.momentum,
          "; resume with the configuration that wrote it");
    loaded[std::string(key)] = value.clone();
  });
  momentum_ = std::move(loaded);
}

}  // namespace enas

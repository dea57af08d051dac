// What Sgd and Adam share: the items of one step, and strict reading of checkpoint keys.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/parameter.h"
#include "ops/grad_norm.h"

namespace enas::detail {

// One item for each parameter that this step changes; give_slots(parameter, item) adds the slots.
template <class Options, class GiveSlots>
std::vector<UpdateItem> update_items(const char* optimizer, const Options& options,
                                     std::span<Parameter* const> used, GiveSlots&& give_slots) {
  std::vector<UpdateItem> items;
  items.reserve(used.size());
  for (Parameter* p : used) {
    check(p != nullptr && p->value.defined(), optimizer, "a parameter has no value");
    if (!p->grad.defined() && !options.dense) continue;
    UpdateItem item;
    item.value = p->value;
    item.grad = std::exchange(p->grad, Tensor());
    if (options.decay != 0 && (!options.decays || options.decays(*p))) item.decay = options.decay;
    give_slots(*p, item);
    items.push_back(std::move(item));
  }
  return items;
}

// The slot under `name`, zeros on first use, on the value's device. One from a checkpoint must have
// the value's kind; it moves to the device when it is first used.
inline Tensor& slot_for(Tensor& slot, const char* optimizer, const Parameter& p) {
  if (!slot.defined()) slot = zeros_like(p.value);
  check(slot.shape() == p.value.shape() && slot.dtype() == p.value.dtype(), ErrorKind::checkpoint,
        optimizer, "state of ", p.name, " is ", slot.dtype(), " ", slot.shape(),
        ", the parameter is ", p.value.dtype(), " ", p.value.shape(),
        "; resume with the configuration that wrote it");
  slot = slot.to(p.value.device());
  return slot;
}

// Calls f(rest of the key, tensor) for each key that begins with prefix.
template <class F>
void for_each_under(const std::map<std::string, Tensor>& in, const std::string& prefix, F&& f) {
  for (auto it = in.lower_bound(prefix); it != in.end(); ++it) {
    const std::string_view key = it->first;
    if (key.substr(0, prefix.size()) != prefix) return;
    f(key.substr(prefix.size()), it->second);
  }
}

// Cuts `suffix` off `key` where it ends so; the rest must not be empty.
inline bool cut_suffix(std::string_view& key, std::string_view suffix) {
  if (key.size() <= suffix.size() || key.substr(key.size() - suffix.size()) != suffix) return false;
  key.remove_suffix(suffix.size());
  return true;
}

}  // namespace enas::detail

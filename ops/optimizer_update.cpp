#include "ops/optimizer_update.h"

#include "ops/update_pieces.h"
#include "ops/update_rules.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"

namespace enas {

void optimizer_update(const SgdRule& rule, std::span<UpdateItem> items, const Tensor& gate) {
  constexpr const char* kOp = "sgd_update";
  check_gate(kOp, gate);
  check(!rule.nesterov || rule.momentum > 0, kOp, "nesterov needs a momentum above 0");
  for (const UpdateItem& item : items) {
    check_update_item(kOp, item, gate.device());
    if (rule.momentum != 0) check_same_kind(kOp, "momentum (slot0)", item.slot0, item.value);
  }
  dispatch<cpu::sgd_update, cuda::sgd_update>(rule, items, gate);
  for (UpdateItem& item : items) item.value.bump_version();
}

void optimizer_update(const AdamRule& rule, std::span<UpdateItem> items, const Tensor& gate) {
  constexpr const char* kOp = "adam_update";
  check_gate(kOp, gate);
  for (const UpdateItem& item : items) {
    check_update_item(kOp, item, gate.device());
    check_same_kind(kOp, "first moment (slot0)", item.slot0, item.value);
    check_same_kind(kOp, "second moment (slot1)", item.slot1, item.value);
    check(item.step.defined() && item.step.dtype() == DType::f64 && item.step.numel() == 1, kOp,
          "needs a step count, f64 [1]");
    check_device(kOp, "a step count", item.step, gate.device());
  }
  dispatch<cpu::adam_update, cuda::adam_update>(rule, items, gate);
  for (UpdateItem& item : items) item.value.bump_version();
}

void average_update(std::span<AverageItem> items, Tensor& count, const Tensor& gate) {
  constexpr const char* kOp = "average_update";
  check_gate(kOp, gate);
  check(count.defined() && count.dtype() == DType::f64 && count.numel() == 1, kOp,
        "needs a count, f64 [1]");
  check_device(kOp, "the count", count, gate.device());
  for (const AverageItem& item : items) {
    check(item.value.defined(), kOp, "an item has no value");
    check_device(kOp, "a value", item.value, gate.device());
    check_same_kind(kOp, "average", item.average, item.value);
  }
  dispatch<cpu::average_update, cuda::average_update>(items, count, gate);
}

ISA_SELECT(sgd_step, void(float* value, const float* grad, float* slot, int64_t n, float lr,
                          float momentum, bool nesterov, float decay, float factor));
ISA_SELECT(adam_step, void(float* value, const float* grad, float* m, float* v, int64_t n,
                           float rate, float beta1, float rest1, float beta2, float rest2,
                           float root_correction, float epsilon, float decay, float factor));
ISA_SELECT(average_step, void(const float* value, float* average, int64_t n, float weight));

namespace {

// The plain loops: f64, for tests. A gradient of null counts as zero.
void sgd(double* value, const double* grad, double* slot, int64_t n, const SgdRule& rule,
         double decay, double factor) {
  const SgdStep<double> step(rule);
  for (int64_t i = 0; i < n; ++i) {
    const double d = factor * ((grad ? grad[i] : 0) + decay * value[i]);
    if (slot == nullptr) {
      step.plain(d, value[i]);
    } else {
      step.with_momentum(d, value[i], slot[i]);
    }
  }
}
void sgd(float* value, const float* grad, float* slot, int64_t n, const SgdRule& rule, double decay,
         double factor) {
  sgd_step(value, grad, slot, n, static_cast<float>(rule.lr), static_cast<float>(rule.momentum),
           rule.nesterov, static_cast<float>(decay), static_cast<float>(factor));
}

void adam(double* value, const double* grad, double* m, double* v, int64_t n, const AdamRule& rule,
          const AdamScale& scale, double decay, double factor) {
  const AdamStep<double> step(rule, scale);
  for (int64_t i = 0; i < n; ++i) {
    step(factor * ((grad ? grad[i] : 0) + decay * value[i]), value[i], m[i], v[i]);
  }
}
void adam(float* value, const float* grad, float* m, float* v, int64_t n, const AdamRule& rule,
          const AdamScale& scale, double decay, double factor) {
  adam_step(value, grad, m, v, n, static_cast<float>(scale.rate), static_cast<float>(rule.beta1),
            static_cast<float>(1 - rule.beta1), static_cast<float>(rule.beta2),
            static_cast<float>(1 - rule.beta2), static_cast<float>(scale.root_correction),
            static_cast<float>(rule.epsilon), static_cast<float>(decay),
            static_cast<float>(factor));
}

void average(const double* value, double* mean, int64_t n, double weight) {
  for (int64_t i = 0; i < n; ++i) mean[i] += (value[i] - mean[i]) * weight;
}
void average(const float* value, float* mean, int64_t n, double weight) {
  average_step(value, mean, n, static_cast<float>(weight));
}

bool is_open(const Tensor& gate) { return gate.data<double>()[kGateFinite] == 1; }

// Calls f(item number, item, T{}, begin, n) for the pieces of all values, in parallel.
template <class Item, class F>
void for_each_piece_of(const char* op, std::span<Item> items, F&& f) {
  const auto pieces = cut_pieces(items.size(), [&](size_t i) { return items[i].value.numel(); });
  for_each_piece(pieces, [&](size_t p) {
    const Piece& piece = pieces[p];
    Item& item = items[piece.item];
    visit_real(item.value.dtype(), op,
               [&](auto tag) { f(piece.item, item, tag, piece.begin, piece.end - piece.begin); });
  });
}

template <class T>
T* at(Tensor& t, int64_t begin) {
  return t.defined() ? t.data<T>() + begin : nullptr;
}

}  // namespace

void cpu::sgd_update(const SgdRule& rule, std::span<UpdateItem> items, const Tensor& gate) {
  if (!is_open(gate)) return;
  const double factor = gate.data<double>()[kGateFactor];
  for_each_piece_of(
      "sgd_update", items, [&](size_t, UpdateItem& item, auto tag, int64_t begin, int64_t n) {
        using T = decltype(tag);
        T* slot = rule.momentum == 0 ? nullptr : at<T>(item.slot0, begin);
        sgd(at<T>(item.value, begin), at<T>(item.grad, begin), slot, n, rule, item.decay, factor);
      });
}

void cpu::adam_update(const AdamRule& rule, std::span<UpdateItem> items, const Tensor& gate) {
  if (!is_open(gate)) return;
  const double factor = gate.data<double>()[kGateFactor];
  std::vector<double> t(items.size());
  std::vector<AdamScale> scale(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    t[i] = items[i].step.data<double>()[0] + 1;
    scale[i] = adam_scale(rule, t[i]);
  }
  for_each_piece_of(
      "adam_update", items, [&](size_t i, UpdateItem& item, auto tag, int64_t begin, int64_t n) {
        using T = decltype(tag);
        adam(at<T>(item.value, begin), at<T>(item.grad, begin), at<T>(item.slot0, begin),
             at<T>(item.slot1, begin), n, rule, scale[i], item.decay, factor);
      });
  for (size_t i = 0; i < items.size(); ++i) items[i].step.data<double>()[0] = t[i];
}

void cpu::average_update(std::span<AverageItem> items, Tensor& count, const Tensor& gate) {
  if (!is_open(gate)) return;
  const double n_next = count.data<double>()[0] + 1;
  for_each_piece_of("average_update", items,
                    [&](size_t, AverageItem& item, auto tag, int64_t begin, int64_t n) {
                      using T = decltype(tag);
                      const T* value = at<T>(item.value, begin);
                      T* mean = at<T>(item.average, begin);
                      if (n_next == 1) {
                        std::copy_n(value, n, mean);  // exactly, whatever the average held
                      } else {
                        average(value, mean, n, 1 / n_next);
                      }
                    });
  count.data<double>()[0] = n_next;
}

}  // namespace enas

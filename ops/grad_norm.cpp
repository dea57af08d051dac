#include "ops/grad_norm.h"

#include <cmath>
#include <vector>

#include "ops/update_pieces.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"

namespace enas {

Tensor grad_norm(std::span<const UpdateItem> items, double clip, const Tensor& loss,
                 const Tensor& previous) {
  constexpr const char* kOp = "grad_norm";
  check(clip >= 0, kOp, "clip must not be negative, got ", clip);
  check(loss.defined() && loss.numel() == 1, kOp, "needs a loss of one element");
  for (const UpdateItem& item : items) check_update_item(kOp, item, loss.device());
  if (previous.defined()) {
    check_gate(kOp, previous);
    check_device(kOp, "the gate before", previous, loss.device());
  }
  Tensor gate({kGateSize}, DType::f64, loss.device());
  dispatch<cpu::grad_norm, cuda::grad_norm>(items, clip, loss, previous, gate);
  return gate;
}

ISA_SELECT(grad_square_sum, double(const float* value, const float* grad, float decay, int64_t n));

namespace {

// The plain loop: f64, for tests.
double square_sum(const double* value, const double* grad, double decay, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double d = (grad ? grad[i] : 0) + (decay == 0 ? 0 : decay * value[i]);
    total += d * d;
  }
  return total;
}
double square_sum(const float* value, const float* grad, double decay, int64_t n) {
  return grad_square_sum(value, grad, static_cast<float>(decay), n);
}

}  // namespace

void cpu::grad_norm(std::span<const UpdateItem> items, double clip, const Tensor& loss,
                    const Tensor& previous, Tensor& gate) {
  const auto numel = [&](size_t i) { return items[i].value.numel(); };
  const std::vector<Piece> pieces = cut_pieces(items.size(), numel);
  std::vector<double> partial(pieces.size());
  for_each_piece(pieces, [&](size_t p) {
    const Piece& piece = pieces[p];
    const UpdateItem& item = items[piece.item];
    visit_real(item.value.dtype(), "grad_norm", [&](auto tag) {
      using T = decltype(tag);
      const T* grad = item.grad.defined() ? item.grad.data<T>() + piece.begin : nullptr;
      partial[p] =
          square_sum(item.value.data<T>() + piece.begin, grad, item.decay, piece.end - piece.begin);
    });
  });
  double total = 0;
  for (const double sum : partial) total += sum;
  const double norm = std::sqrt(total), loss_value = loss.item();
  const bool open = !previous.defined() || previous.data<double>()[kGateFinite] == 1;
  double* out = gate.data<double>();
  out[kGateNorm] = norm;
  out[kGateFactor] = clip == 0 ? 1 : std::isfinite(norm) ? std::min(1.0, clip / (norm + 1e-6)) : 0;
  out[kGateFinite] = open && std::isfinite(norm) && std::isfinite(loss_value) ? 1 : 0;
  out[kGateLoss] = loss_value;
}

}  // namespace enas

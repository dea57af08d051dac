#include "nas/micro/skeleton.h"

#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/pool2d.h"
#include "ops/structure.h"
#include "ops/sum_of.h"

namespace enas {
namespace {

constexpr int64_t kAuxiliaryFirst = 128, kAuxiliarySecond = 768;
constexpr Window2d kAuxiliaryPool{5, 3, Padding::valid};

}  // namespace

SeparableBn make_stack(const LayerMaker& make, const std::string& name, int stack, MicroOp op,
                       int64_t filters) {
  return make.separable(name + "." + std::to_string(stack), kernel_of(op), filters, filters);
}

Term run_micro_op(Pass& pass, MicroOp op, const MicroEdge& edge, const Var& x, int64_t stride,
                  Padding padding) {
  const auto value = [](Var y) { return Term{std::move(y), std::nullopt, Tensor()}; };
  const auto deferred = [&](const RawConv& raw, const BatchNorm& norm) {
    return Term{Var(), pass.later(raw, norm), Tensor()};
  };
  switch (op) {
    case MicroOp::avg_pool:
      return value(avg_pool2d(x, {3, stride, padding}));
    case MicroOp::max_pool:
      return value(max_pool2d(x, {3, stride, padding}));
    case MicroOp::identity:
      return stride == 1 ? value(x)
                         : deferred(edge.identity.forward(pass, x, false), edge.identity.norm);
    case MicroOp::sep3:
    case MicroOp::sep5:
      break;
  }
  const auto& [first, second] = edge.stacks;
  const Deferred between = pass.later(first.forward(pass, x, stride, padding), first.norm, true);
  return deferred(second.forward(pass, between), second.norm);
}

AuxiliaryHead::AuxiliaryHead(const LayerMaker& make, std::span<const int64_t> widths, int64_t map,
                             int64_t classes, bool frozen)
    : frozen_(frozen) {
  check(map >= kAuxiliaryPool.kernel, ErrorKind::usage, "auxiliary head",
        "needs a map of at least ", kAuxiliaryPool.kernel, " pixels behind the reductions, found ",
        map, "; use larger images or leave the auxiliary head out");
  const LayerMaker plain = make.without_running();  // evaluation does not run it
  first_ = plain.pointwise("auxiliary.first", widths, kAuxiliaryFirst);
  second_ =
      plain.conv("auxiliary.second", kAuxiliaryPool.output(map), kAuxiliaryFirst, kAuxiliarySecond);
  linear_ = plain.linear("auxiliary.head", kAuxiliarySecond, classes);
}

Var AuxiliaryHead::forward(Pass& pass, std::span<const Var> sources) const {
  std::vector<Var> pooled;
  for (const Var& source : sources) pooled.push_back(avg_pool2d(relu(source), kAuxiliaryPool));
  pass.freeze(frozen_);
  const Var first = pass.now(first_.forward(pass, pooled, false), first_.norm, true);
  const Var second = pass.now(second_.forward(pass, first, Padding::valid), second_.norm, true);
  const Var logits = pass.classify(reshape(second, {second.size(0), kAuxiliarySecond}), linear_, 0);
  pass.freeze(false);
  return logits;
}

}  // namespace enas

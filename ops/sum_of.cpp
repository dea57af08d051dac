#include "ops/sum_of.h"

#include "ops/channel_moments.h"
#include "ops/drop_path.h"
#include "ops/norm_loops.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr const char* kOp = "sum_of";

const Var& value_of(const Term& term) { return term.deferred ? term.deferred->raw : term.x; }

TermValues checked(const Term& term, const Tensor& first) {
  const Tensor& x = value_of(term).value();
  check(x.defined() && x.shape() == first.shape() && x.dtype() == first.dtype(), kOp,
        "needs terms of one shape and dtype, got ", first.dtype(), " ", first.shape(), " and ",
        x.dtype(), " ", x.shape());
  check(x.device() == first.device(), kOp, "terms on different devices; move them to one");
  if (term.keep.defined()) {
    check(term.keep.shape() == Shape{x.size(0)} && term.keep.dtype() == x.dtype(), kOp,
          "needs one factor an example, ", x.dtype(), " [", x.size(0), "], got ", term.keep.dtype(),
          " ", term.keep.shape());
  }
  TermValues values{x, {}, term.keep};
  if (term.deferred) {
    const Deferred& d = *term.deferred;
    values.norm = norm_values(kOp, x, d.stats, d.n, d.use);
  }
  return values;
}

// Of one term, whose gradients start at dx[0].
void term_backward(const TermValues& term, const Tensor& dy, Grads dx) {
  if (term.norm.mean.defined()) {
    dispatch<cpu::batch_norm_backward, cuda::batch_norm_backward>(
        term.x, term.norm, dy, term.keep,
        NormGrads{grad_out(dx[0]), grad_out(dx[1]), grad_out(dx[2])});
  } else if (dx[0].needed()) {
    if (!term.keep.defined()) return dx[0].accept(dy);
    dispatch<cpu::drop_path_apply, cuda::drop_path_apply>(dy, term.keep, dx[0].tensor(),
                                                          dx[0].into());
  }
}

}  // namespace

RawConv sum_of(std::span<const Term> terms, bool stats) {
  check(!terms.empty(), kOp, "needs at least one term");
  const Tensor& first = value_of(terms[0]).value();
  check(first.defined() && first.rank() >= 2 && first.numel() > 0, kOp,
        "needs terms [N, ..., C] with at least one row, got ",
        first.defined() ? first.shape() : Shape{});
  if (terms.size() == 1 && !terms[0].deferred && !terms[0].keep.defined() && !stats) {
    return {terms[0].x, {}};
  }
  std::vector<TermValues> values;
  std::vector<Input> inputs;
  for (const Term& term : terms) {
    values.push_back(checked(term, first));
    inputs.emplace_back(value_of(term));
    if (!term.deferred) continue;
    inputs.emplace_back(term.deferred->n.scale), inputs.emplace_back(term.deferred->n.offset);
  }
  Tensor y = empty_like(first);
  const int64_t channels = first.size(-1);
  RawConv result;
  if (stats) {
    result.stats = {Tensor({channels}, first.dtype(), first.device()),
                    Tensor({channels}, first.dtype(), first.device()), first.numel() / channels};
  }
  dispatch<cpu::sum_of_forward, cuda::sum_of_forward>(y, std::span<const TermValues>(values),
                                                      result.stats);
  for (TermValues& v : values) {
    if (!v.norm.mean.defined()) v.x = {};  // backward does not read it
  }
  result.y = record(kOp, std::span<const Input>(inputs), std::move(y),
                    [values](const Tensor& dy, Grads& dx) {
                      size_t at = 0;
                      for (const TermValues& v : values) {
                        const size_t n = v.norm.mean.defined() ? 3 : 1;
                        term_backward(v, dy, dx.subspan(at, n));
                        at += n;
                      }
                    });
  return result;
}

void cpu::sum_of_forward(Tensor& y, std::span<const TermValues> terms, ChannelStats& stats) {
  constexpr int64_t kBlock = 4096;  // elements: the sum stays in L1 from term to term
  const int64_t images = y.size(0), channels = y.size(-1), image = y.numel() / images;
  const int64_t rows = image / channels, block = std::max<int64_t>(kBlock / channels, 1);
  visit_real(y.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    std::vector<NormLoops<T>> loops;
    for (const TermValues& t : terms) loops.emplace_back(ChannelAffine<T>(t.norm), channels);
    const bool wanted = stats.mean.defined();
    std::vector<T> moments(static_cast<size_t>(wanted ? images * 2 * channels : 0));
    T* out = y.data<T>();
    parallel_for(images, 16384 / image, [&](int64_t first, int64_t last) {
      for (int64_t n = first; n < last; ++n) {
        for (int64_t r = 0; r < rows; r += block) {
          const int64_t at = n * image + r * channels, count = std::min(block, rows - r);
          for (size_t i = 0; i < terms.size(); ++i) {
            const T keep = terms[i].keep.defined() ? terms[i].keep.template data<T>()[n] : T(1);
            loops[i].apply(terms[i].x.template data<T>() + at, keep, out + at, i > 0, count);
          }
        }
        if (wanted) {
          block_moments(out + n * image, rows, channels, moments.data() + n * 2 * channels);
        }
      }
    });
    if (wanted) {
      join_moments(moments.data(), images * rows, rows, channels, stats.mean.template data<T>(),
                   stats.variance.template data<T>());
    }
  });
}

}  // namespace enas

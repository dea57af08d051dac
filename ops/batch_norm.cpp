#include "ops/batch_norm.h"

#include "ops/channel_affine.h"
#include "ops/norm_loops.h"
#include "ops/update_pieces.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

Var batch_norm(const Var& x, const ChannelStats& stats, const Normalization& n, StatsUse use) {
  constexpr const char* kOp = "batch_norm";
  check(x.rank() >= 1 && x.numel() > 0, kOp, "needs [..., C] with at least one row, got ",
        x.shape());
  const NormValues values = norm_values(kOp, x.value(), stats, n, use);
  Tensor y = empty_like(x.value());
  dispatch<cpu::batch_norm_forward, cuda::batch_norm_forward>(x.value(), values, y);
  return record(kOp, {x, n.scale, n.offset}, std::move(y),
                [x = x.value(), values](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::batch_norm_backward, cuda::batch_norm_backward>(
                      x, values, dy, Tensor(),
                      NormGrads{grad_out(dx[0]), grad_out(dx[1]), grad_out(dx[2])});
                });
}

void running_update(std::span<RunningItem> items, double decay, const Tensor& gate) {
  constexpr const char* kOp = "running_update";
  check_gate(kOp, gate);
  check(decay >= 0 && decay <= 1, kOp, "needs a decay in [0, 1], got ", decay);
  for (const RunningItem& item : items) {
    for (const Tensor* t : {&item.variance, &item.batch.mean, &item.batch.variance}) {
      check(item.mean.defined(), kOp, "an item has no buffers");
      check_same_kind(kOp, "a buffer or statistic", *t, item.mean);
      check_device(kOp, "a buffer", *t, gate.device());
    }
  }
  dispatch<cpu::running_update, cuda::running_update>(items, decay, gate);
  for (RunningItem& item : items) item.mean.bump_version(), item.variance.bump_version();
}

namespace {

constexpr int64_t kGrain = 16384;  // elements a chunk

struct Rows {
  int64_t rows, channels, example;  // example: rows of one
  explicit Rows(const Tensor& x)
      : rows(x.numel() / x.size(-1)),
        channels(x.size(-1)),
        example(x.rank() > 1 ? std::max<int64_t>(rows / x.size(0), 1) : 1) {}
  int64_t grain() const { return kGrain / channels; }
};

// Calls f(begin, end, i) for the rows [begin, end) of each example i.
template <class F>
void for_each_example(const Rows& r, int64_t begin, int64_t end, F&& f) {
  while (begin < end) {
    const int64_t i = begin / r.example, next = std::min(end, (i + 1) * r.example);
    f(begin, next, i);
    begin = next;
  }
}

template <class T>
void backward(const Tensor& x, const NormValues& n, const Tensor& dy, const Tensor& keep,
              const NormGrads& grads) {
  const Rows r(x);
  const NormLoops<T> loops((ChannelAffine<T>(n)), r.channels);
  const T *in = x.data<T>(), *up = dy.data<T>();
  const T* kept = keep.defined() ? keep.data<T>() : nullptr;
  const auto factor = [kept](int64_t i) { return kept != nullptr ? kept[i] : T(1); };
  NormSums<T> sums(r.channels);
  if (n.batch || grads.dscale.wanted() || grads.doffset.wanted()) {
    const int chunks = chunk_count(r.rows, r.grain());
    std::vector<std::vector<T>> parts(static_cast<size_t>(chunks));
    parallel_chunks(chunks, [&](int chunk) {
      std::vector<T>& part = parts[static_cast<size_t>(chunk)];
      part.assign(loops.sums_size(), T(0));
      const auto add = [&](int64_t begin, int64_t end, int64_t i) {
        const int64_t at = begin * r.channels;
        loops.sums(in + at, up + at, factor(i), nullptr, false, end - begin, part.data());
      };
      const int64_t first = r.rows * chunk / chunks, last = r.rows * (chunk + 1) / chunks;
      kept != nullptr ? for_each_example(r, first, last, add) : add(first, last, 0);
    });
    for (const std::vector<T>& part : parts) loops.join(part.data(), sums);
  }
  if (grads.dx.wanted()) {
    const NormBackward<T> rule(loops.affine(), sums, n.batch, r.rows);
    const auto back = loops.backward(rule);
    T* down = grads.dx.tensor->data<T>();
    const bool add = grads.dx.into == Into::add;
    parallel_for(r.rows, r.grain(), [&](int64_t first, int64_t last) {
      const auto put = [&](int64_t begin, int64_t end, int64_t i) {
        const int64_t at = begin * r.channels;
        back(in + at, up + at, factor(i), down + at, add, end - begin);
      };
      kept != nullptr ? for_each_example(r, first, last, put) : put(first, last, 0);
    });
  }
  sums.put_parameters(grads);
}

}  // namespace

void cpu::batch_norm_forward(const Tensor& x, const NormValues& n, Tensor& y) {
  const Rows r(x);
  visit_real(x.dtype(), "batch_norm", [&](auto tag) {
    using T = decltype(tag);
    const NormLoops<T> loops((ChannelAffine<T>(n)), r.channels);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(r.rows, r.grain(), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * r.channels;
      loops.apply(in + at, T(1), out + at, false, end - begin);
    });
  });
}

void cpu::batch_norm_backward(const Tensor& x, const NormValues& n, const Tensor& dy,
                              const Tensor& keep, const NormGrads& grads) {
  visit_real(x.dtype(), "batch_norm",
             [&](auto tag) { backward<decltype(tag)>(x, n, dy, keep, grads); });
}

void cpu::running_update(std::span<RunningItem> items, double decay, const Tensor& gate) {
  if (gate.data<double>()[kGateFinite] != 1) return;
  for (RunningItem& item : items) {
    const auto count = static_cast<double>(item.batch.count);
    const double unbiased = count > 1 ? count / (count - 1) : 1;
    visit_real(item.mean.dtype(), "running_update", [&](auto tag) {
      using T = decltype(tag);
      T *mean = item.mean.data<T>(), *variance = item.variance.data<T>();
      const T *m = item.batch.mean.data<T>(), *v = item.batch.variance.data<T>();
      const auto join = [decay](T running, double batch) {
        return static_cast<T>(decay * static_cast<double>(running) + (1 - decay) * batch);
      };
      for (int64_t c = 0; c < item.mean.numel(); ++c) {
        mean[c] = join(mean[c], static_cast<double>(m[c]));
        variance[c] = join(variance[c], unbiased * static_cast<double>(v[c]));
      }
    });
  }
}

}  // namespace enas

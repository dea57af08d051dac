// Batches of text (docs/method.md 1.1, 1.3): the split cut into contiguous streams, windows along
// them with the state carried between. Stream b covers tokens [b*n, (b+1)*n), n = floor(tokens /
// batch), the tail is dropped; the input before token i is token i-1, and <eos> before the first
// token, so at batch 1 every token is predicted once.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/check.h"

namespace enas {

// length x batch ids, time-major: index t * batch + b.
struct TextWindow {
  int64_t length = 0, batch = 0;
  std::vector<int32_t> inputs, targets;
};

class TextStreams {
 public:
  // Refers to `tokens`, which must live as long. Refuses (kind usage) fewer tokens than streams.
  TextStreams(std::span<const int32_t> tokens, int64_t batch, int32_t eos);

  int64_t batch() const { return batch_; }
  // n, the positions of each stream.
  int64_t length() const { return length_; }
  // Predicts positions [start, start + length) of every stream; a pure function.
  TextWindow window(int64_t start, int64_t length) const;

 private:
  std::span<const int32_t> tokens_;
  int64_t batch_, length_;
  int32_t eos_;
};

struct WindowSpan {
  int64_t start = 0, length = 0;
};

// The windows of an epoch, a pure function of (seed, epoch, step), so that a resume needs only
// integers.
//   fixed     bptt each; what is left over at the end is dropped (unless it is all there is)
//   variable  base = bptt (p = .95) or bptt / 2, int(truncated normal(base, 5)), 1..bptt + 20; the
//             last one is cut at the stream's end, and the epoch ends when fewer than 3 positions
//             are left
//   whole     bptt each, the last one shorter: for evaluation, predicts every position
class WindowPlan {
 public:
  enum class Kind { fixed, variable, whole };

  // stream_length: TextStreams::length(). Refuses (kind usage) a bptt below 1.
  WindowPlan(Kind kind, int64_t stream_length, int64_t bptt, uint64_t seed);

  // Length of the window of this step when the epoch's windows before it end at `start`; 0: the
  // epoch is over.
  int64_t length(int64_t epoch, int64_t step, int64_t start) const;
  // All windows of the epoch, in order.
  std::vector<WindowSpan> epoch(int64_t epoch) const;

 private:
  int64_t draw(int64_t epoch, int64_t step) const;

  Kind kind_;
  int64_t stream_length_, bptt_;
  uint64_t seed_;
};

}  // namespace enas

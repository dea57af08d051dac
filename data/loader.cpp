// See loader.h.
#include "data/loader.h"

#include <algorithm>
#include <cmath>

#include "tensor/philox.h"

namespace enas {
namespace {

constexpr double kFullProbability = .95;  // of bptt as the base, else half of it
constexpr double kSigma = 5;
constexpr double kCut = 2;            // sigmas at which the normal is truncated, by drawing again
constexpr int64_t kLongestOver = 20;  // beyond bptt
constexpr int64_t kFewestLeft = 3;    // positions for another window
constexpr double kTwoPi = 6.283185307179586;

}  // namespace

TextStreams::TextStreams(std::span<const int32_t> tokens, int64_t batch, int32_t eos)
    : tokens_(tokens), batch_(batch), length_(0), eos_(eos) {
  check(batch >= 1, ErrorKind::usage, "batch", "found ", batch, "; expected at least 1");
  length_ = static_cast<int64_t>(tokens.size()) / batch;
  check(length_ >= 1, ErrorKind::usage, "batch", "found ", batch, " streams for ", tokens.size(),
        " tokens; expected at most one stream a token: lower the batch");
}

TextWindow TextStreams::window(int64_t start, int64_t length) const {
  check(start >= 0 && length >= 1 && length <= length_ - start, "text window", "found [", start,
        ", ", start, " + ", length, "); expected a part of [0, ", length_, ")");
  TextWindow window{length, batch_, {}, {}};
  const auto size = static_cast<size_t>(length * batch_);
  window.inputs.resize(size);
  window.targets.resize(size);
  for (int64_t t = 0; t < length; ++t) {
    for (int64_t b = 0; b < batch_; ++b) {
      const auto token = static_cast<size_t>(b * length_ + start + t);
      const auto to = static_cast<size_t>(t * batch_ + b);
      window.inputs[to] = token == 0 ? eos_ : tokens_[token - 1];
      window.targets[to] = tokens_[token];
    }
  }
  return window;
}

WindowPlan::WindowPlan(Kind kind, int64_t stream_length, int64_t bptt, uint64_t seed)
    : kind_(kind), stream_length_(stream_length), bptt_(bptt), seed_(seed) {
  check(bptt >= 1, ErrorKind::usage, "bptt", "found ", bptt, "; expected at least 1");
  check(stream_length >= 1, "window plan", "found streams of ", stream_length,
        " positions; expected at least 1");
}

int64_t WindowPlan::length(int64_t epoch, int64_t step, int64_t start) const {
  const int64_t left = stream_length_ - start;
  check(start >= 0 && left >= 0, "window plan", "found start ", start, "; expected 0..",
        stream_length_);
  if (kind_ == Kind::whole) return std::min(bptt_, left);
  if (kind_ == Kind::fixed) return left >= bptt_ || start == 0 ? std::min(bptt_, left) : 0;
  if (left < kFewestLeft && start > 0) return 0;
  return std::min(draw(epoch, step), left);
}

// Box-Muller gives a normal from a pair of uniforms; pairs 1, 2, ... are tried until one lies
// within the cut (95 % do). Uniform 0 chooses the base.
int64_t WindowPlan::draw(int64_t epoch, int64_t step) const {
  const Random random{seed_, Stream::window,
                      static_cast<uint64_t>(epoch) << 32 | static_cast<uint64_t>(step)};
  const double bptt = static_cast<double>(bptt_);
  const double base = random.uniform53(0) < kFullProbability ? bptt : bptt / 2;
  double normal = kCut + 1;
  for (uint64_t pair = 1; std::abs(normal) > kCut; ++pair) {
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform53(2 * pair)));
    normal = radius * std::cos(kTwoPi * random.uniform53(2 * pair + 1));
  }
  const auto length = static_cast<int64_t>(base + kSigma * normal);
  return std::clamp<int64_t>(length, 1, bptt_ + kLongestOver);
}

std::vector<WindowSpan> WindowPlan::epoch(int64_t epoch) const {
  std::vector<WindowSpan> windows;
  int64_t start = 0;
  for (int64_t step = 0;; ++step) {
    const int64_t next = length(epoch, step, start);
    if (next == 0) return windows;
    windows.push_back({start, next});
    start += next;
  }
}

}  // namespace enas

// See progress.h. The mean forgets with time constant tau: a measurement over dt seconds weighs 1 -
// exp(-dt / tau).
#include "apps/run/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace enas {
namespace {

constexpr double kTimeConstant = 20;     // seconds
constexpr double kShortestSample = 0.2;  // seconds; shorter ones are gathered
constexpr int kBarWidth = 20;

// "5,712", "3.4", "0.05".
std::string format_rate(double rate) {
  if (rate >= 10) return format_count(rate);
  char text[32];
  std::snprintf(text, sizeof text, rate >= 1 ? "%.1f" : "%.2g", rate);
  return text;
}

}  // namespace

Progress::Progress(Console& console, std::string phase, std::string unit, std::int64_t total,
                   std::int64_t done, std::int64_t later)
    : console_(&console),
      phase_(std::move(phase)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      later_(later),
      last_time_(console.now()) {}

void Progress::advance(std::int64_t amount, std::string_view detail) {
  done_ += amount;
  pending_ += static_cast<double>(amount);
  const double elapsed = console_->now() - last_time_;
  if (elapsed >= kShortestSample) {
    const double share = 1 - std::exp(-elapsed / kTimeConstant);
    mean_ += share * (pending_ / elapsed - mean_);
    weight_ += share * (1 - weight_);
    last_time_ += elapsed;
    pending_ = 0;
  }
  if (console_->terminal()) console_->progress(text(detail));
}

void Progress::milestone(std::string_view detail) { console_->milestone(text(detail)); }

double Progress::rate() const { return weight_ > 0 ? mean_ / weight_ : 0; }

double Progress::seconds_left() const {
  if (total_ <= 0 || rate() <= 0) return -1;
  return static_cast<double>(std::max<std::int64_t>(0, total_ - done_)) / rate();
}

std::string Progress::text(std::string_view detail) const {
  std::string text = phase_;
  if (total_ > 0) {
    const double share =
        std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    const std::string percent = std::to_string(static_cast<int>(share * 100));
    if (console_->terminal()) {
      const auto filled = static_cast<std::size_t>(share * kBarWidth);
      text += " [" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') + "]";
    }
    text += std::string(4 - percent.size(), ' ') + percent + "%";
  }
  if (rate() > 0) text += "  " + format_rate(rate()) + " " + unit_ + "/s";
  if (seconds_left() > 0) text += "  ETA " + format_seconds(seconds_left());
  if (seconds_left() >= 0 && later_ > 0) {
    const double all = seconds_left() + static_cast<double>(later_) / rate();
    text += std::string(seconds_left() > 0 ? ", " : "  ETA ") + format_seconds(all) + " in all";
  }
  if (!detail.empty()) text.append("  ").append(detail);
  return text;
}

}  // namespace enas

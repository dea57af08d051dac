// One phase's progress: share done, throughput and the time left, from an exponentially weighted
// mean of the rate.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "apps/run/console.h"

namespace enas {

class Progress {
 public:
  // `total` units of work (0: unknown), of which `done` lie behind a resumed run; `later` more
  // follow in phases like this one, for the time left in all.
  Progress(Console& console, std::string phase, std::string unit, std::int64_t total,
           std::int64_t done = 0, std::int64_t later = 0);

  // After a step; detail is shown at the end, as "loss 4.21".
  void advance(std::int64_t amount, std::string_view detail = {});
  // Every --log-every steps, after advance().
  void milestone(std::string_view detail = {});

  double rate() const;          // units a second, 0 before the first measurement
  double seconds_left() const;  // negative: unknown
  std::string text(std::string_view detail) const;

 private:
  Console* console_;
  std::string phase_;
  std::string unit_;
  std::int64_t total_;
  std::int64_t done_;
  std::int64_t later_;
  double last_time_;
  double pending_ = 0;  // units since last_time_
  double mean_ = 0;     // weighted sum of rates
  double weight_ = 0;   // sum of the weights, which tends to 1
};

}  // namespace enas

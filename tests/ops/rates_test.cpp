// Rates of the convolutions' kernels (tests/rates.h): panels of ops/panels.h, which 1x1 and K x K
// share, and the windows of depthwise ones, on what lies in the first caches.
#include "tests/rates.h"

#ifdef ENAS_FMA_LOOP
#include "ops/lanes.h"
#include "ops/panels.h"
#include "ops/separable_image.h"

namespace enas::test {
namespace {

// Products of 128 pixels with [depth x columns], and the gradient of such a matrix.
struct PanelRates {
  PanelRates(int64_t m, int64_t n)
      : depth(m),
        columns(n),
        x(static_cast<size_t>(kPixels * m), 0.5f),
        y(static_cast<size_t>(kPixels * n), 0.125f),
        w(static_cast<size_t>(m * n), 0.25f) {}
  RatedKernel multiply(const char* name) {
    panels.resize(static_cast<size_t>(panels_size(depth, columns)));
    panels_pack(w.data(), columns, 1, 0, depth, depth, columns, panels.data());
    return {name, fmas(), {0.35, 0.35, 0.35}, [this] {
              const PanelRun run{x.data(), depth, depth};
              for (int i = 0; i < kTimes; ++i)
                panels_multiply(&run, 1, kPixels, panels.data(), columns, y.data(), columns, false);
            }};
  }
  RatedKernel outer(const char* name) {
    return {name, fmas(), {0.35, 0.35, 0.35}, [this] {
              const PanelPixels pixels{x.data(), depth, 0, y.data(), columns, 0, 1, kPixels};
              for (int i = 0; i < kTimes; ++i)
                panels_outer(pixels, depth, columns, w.data(), columns, false);
            }};
  }
  static constexpr int64_t kPixels = 128, kTimes = 10;
  double fmas() const { return static_cast<double>(kTimes * kPixels * depth * columns); }
  int64_t depth, columns;
  LineFloats x, y, w, panels;
};

TEST(Rates, PanelsKeepTheirShareOfTheFmaLoop) {
  PanelRates odd(108, 36), even(72, 72);  // odd: columns past whole vectors, four rows a vector
  expect_rates([&] {
    return std::vector<RatedKernel>{
        odd.multiply("panels, 36 columns"), even.multiply("panels, 72 columns"),
        odd.outer("gradient by panels, 36 columns"), even.outer("gradient by panels, 72 columns")};
  });
}

// One image of 8 x 16 pixels of 36 channels.
struct WindowRates {
  explicit WindowRates(int64_t kernel) {
    p.height = p.out_height = 8, p.width = p.out_width = 16, p.channels = 36;
    p.kernel = kernel, p.stride = 1, p.top = p.left = kernel / 2;
    p.plane = p.frame_row = (p.width + kernel - 1) * p.channels / 16 * 16 + 16;
    p.frame_rows = p.height + kernel - 1;
    p.dt_row = p.width * p.channels;
    p.period = lane_period(p.channels);
    frame.assign(static_cast<size_t>(p.frame_rows * p.frame_row + 64), 0.5f);
    lanes.assign(static_cast<size_t>(kernel * kernel * p.period), 0.25f);
    image.assign(static_cast<size_t>(p.height * p.dt_row), 0.125f);
  }
  RatedKernel rows(const char* name) {
    return {name, fmas(), {0.3, 0.25, 0.17}, [this] {
              for (int i = 0; i < kTimes; ++i)
                depthwise_rows(&p, frame.data(), lanes.data(), 0, p.height, image.data());
            }};
  }
  RatedKernel weights(const char* name) {
    return {name, fmas(), {0.3, 0.25, 0.17}, [this] {
              for (int i = 0; i < kTimes; ++i)
                depthwise_weights(&p, frame.data(), image.data(), lanes.data());
            }};
  }
  static constexpr int kTimes = 20;
  double fmas() const {
    return static_cast<double>(kTimes * p.kernel * p.kernel * p.height * p.width * p.channels);
  }
  ImagePlan p{};
  LineFloats frame, lanes, image;
};

TEST(Rates, DepthwiseWindowsKeepTheirShareOfTheFmaLoop) {
  std::vector<WindowRates> made;
  expect_rates([&] {
    made.assign({WindowRates(3), WindowRates(5)});  // anew: the period is the instruction set's
    return std::vector<RatedKernel>{made[0].rows("depthwise 3x3"), made[1].rows("depthwise 5x5"),
                                    made[0].weights("gradient of depthwise 3x3"),
                                    made[1].weights("gradient of depthwise 5x5")};
  });
}

}  // namespace
}  // namespace enas::test
#endif  // ENAS_FMA_LOOP

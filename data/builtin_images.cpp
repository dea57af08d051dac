// See builtin_images.h. Integer arithmetic, so that the bytes are the same on every machine:
// lengths in 1/64 pixel, directions as cosine and sine times 4,096.
#include "data/builtin_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr uint64_t kSeed = 20180209;
constexpr int64_t kUnit = 64;       // a pixel
constexpr int64_t kOne = 4096;      // of a cosine
constexpr int64_t kSamples = 2;     // a side of a pixel
constexpr int64_t kNoise = 8;       // of 255, either way
constexpr int64_t kFarApart = 240;  // sum over channels between any two colours

enum class Figure { disc, square, triangle, ring, cross };
enum class Texture { stripes, checks };
constexpr int64_t kFigures = 5, kTextures = 2, kClasses = kFigures * kTextures;
constexpr const char* kFigureNames[kFigures] = {"disc", "square", "triangle", "ring", "cross"};
constexpr const char* kTextureNames[kTextures] = {"striped", "checked"};

using Colour = std::array<int64_t, 3>;

// One image's numbers, one after another.
class Draws {
 public:
  explicit Draws(const Random& random) : random_(random) {}
  // In [low, high].
  int64_t between(int64_t low, int64_t high) {
    if (next_ % 4 == 0) block_ = random_.block(next_ / 4);
    const uint64_t bits = block_[next_++ % 4];
    return low + static_cast<int64_t>(bits * static_cast<uint64_t>(high - low + 1) >> 32);
  }

 private:
  Random random_;
  PhiloxBlock block_{};
  uint64_t next_ = 0;
};

// The angle 2 atan(t), t = tangent / 1024, by the rational points of the circle.
struct Direction {
  int64_t cosine, sine;
  explicit Direction(int64_t tangent) {
    constexpr int64_t kTangent = 1024;
    const int64_t square = kTangent * kTangent + tangent * tangent;
    cosine = kOne * (kTangent * kTangent - tangent * tangent) / square;
    sine = kOne * 2 * kTangent * tangent / square;
  }
  int64_t along(int64_t x, int64_t y) const { return (x * cosine + y * sine) / kOne; }
  int64_t across(int64_t x, int64_t y) const { return (y * cosine - x * sine) / kOne; }
};

int64_t distance(const Colour& a, const Colour& b) {
  int64_t sum = 0;
  for (size_t c = 0; c < 3; ++c) sum += std::abs(a[c] - b[c]);
  return sum;
}

// Three colours, each far from the others: two of the texture, one behind.
std::array<Colour, 3> draw_colours(Draws& draws) {
  std::array<Colour, 3> colours{};
  do {
    for (Colour& colour : colours)
      for (int64_t& channel : colour) channel = draws.between(kNoise, 255 - kNoise);
  } while (distance(colours[0], colours[1]) < kFarApart ||
           distance(colours[0], colours[2]) < kFarApart ||
           distance(colours[1], colours[2]) < kFarApart);
  return colours;
}

// Whether the point is in the figure of this radius around 0; y grows downwards.
bool inside(Figure figure, int64_t radius, int64_t x, int64_t y) {
  const int64_t square = x * x + y * y, u = std::abs(x), v = std::abs(y);
  switch (figure) {
    case Figure::disc:
      return 100 * square <= 81 * radius * radius;
    case Figure::square:
      return 100 * std::max(u, v) <= 78 * radius;
    case Figure::triangle:  // its corners on the circle
      return 2 * y <= radius && 1732 * u <= 1000 * (y + radius);
    case Figure::ring:
      return square <= radius * radius && 100 * square >= 30 * radius * radius;
    case Figure::cross:
      return std::max(u, v) <= radius && 100 * std::min(u, v) <= 33 * radius;
  }
  return false;
}

// The drawing of one image: colour at a point in kUnits.
struct Scene {
  Figure figure;
  Texture texture;
  std::array<Colour, 3> colours;
  int64_t radius, x, y, period, phase_x, phase_y;
  Direction turn, grain;

  Scene(int64_t label, Draws& draws)
      : figure(static_cast<Figure>(label / kTextures)),
        texture(static_cast<Texture>(label % kTextures)),
        colours(draw_colours(draws)),
        radius(draws.between(10 * kUnit, 14 * kUnit)),
        x(draws.between(radius, kShapesSide * kUnit - radius)),
        y(draws.between(radius, kShapesSide * kUnit - radius)),
        period(draws.between(5 * kUnit, 6 * kUnit)),
        phase_x(draws.between(0, 6 * kUnit)),
        phase_y(draws.between(0, 6 * kUnit)),
        turn(draws.between(-180, 180)),       // some 20 degrees
        grain(draws.between(-1024, 1024)) {}  // a quarter turn either way

  const Colour& at(int64_t px, int64_t py) const {
    const int64_t dx = px - x, dy = py - y;
    if (!inside(figure, radius, turn.along(dx, dy), turn.across(dx, dy))) return colours[2];
    constexpr int64_t kFar = 1 << 20;  // keeps the remainder's argument positive
    const auto half = [&](int64_t length) { return (length + kFar) % period * 2 < period; };
    bool first = half(grain.along(dx, dy) + phase_x);
    if (texture == Texture::checks) first = first != half(grain.across(dx, dy) + phase_y);
    return colours[first ? 0 : 1];
  }
};

void draw(int64_t label, const Random& random, uint8_t* pixels) {
  Draws draws(random);
  const Scene scene(label, draws);
  constexpr int64_t kStep = kUnit / kSamples;
  for (int64_t y = 0; y < kShapesSide; ++y) {
    for (int64_t x = 0; x < kShapesSide; ++x) {
      Colour sum{};
      for (int64_t s = 0; s < kSamples * kSamples; ++s) {
        const Colour& colour = scene.at(x * kUnit + s % kSamples * kStep + kStep / 2,
                                        y * kUnit + s / kSamples * kStep + kStep / 2);
        for (size_t c = 0; c < 3; ++c) sum[c] += colour[c];
      }
      for (size_t c = 0; c < 3; ++c)
        *pixels++ =
            static_cast<uint8_t>(sum[c] / (kSamples * kSamples) + draws.between(-kNoise, kNoise));
    }
  }
}

// Image i of part p draws from (p, i).
ImageSet draw_part(uint64_t seed, uint64_t part, int64_t images) {
  ImageSet set;
  if (images == 0) return set;
  set.images = Tensor(Shape{images, kShapesSide, kShapesSide, 3}, DType::u8);
  set.labels = Tensor(Shape{images}, DType::i32);
  uint8_t* pixels = set.images.data<uint8_t>();
  int32_t* labels = set.labels.data<int32_t>();
  parallel_for(images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      labels[i] = static_cast<int32_t>(i % kClasses);
      draw(labels[i], Random{seed, Stream::shapes, part << 32 | static_cast<uint64_t>(i)},
           pixels + i * kShapesSide * kShapesSide * 3);
    }
  });
  return set;
}

}  // namespace

ImageSource shapes10(uint64_t seed, const ShapeCounts& counts) {
  ImageSource source;
  source.what = "builtin:shapes10 (drawn)";
  for (int64_t label = 0; label < kClasses; ++label)
    source.classes.push_back(
        fmt::format("{} {}", kTextureNames[label % kTextures], kFigureNames[label / kTextures]));
  source.train = draw_part(seed, 0, counts.train + counts.held_out);
  source.test = draw_part(seed, 1, counts.test);
  source.held_out = counts.held_out;
  return source;
}

ImageSource shapes10() { return shapes10(kSeed, {}); }

}  // namespace enas

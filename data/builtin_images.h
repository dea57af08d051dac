// builtin:shapes10: drawn images, always the same bytes for a seed. A class is one of five shapes
// with one of two textures in it, so that neither tells the class, and nothing else does: colours,
// place, size and angles are drawn for each image. Shapes are large and colours far apart, so that
// a person makes no error; a linear classifier hardly does better than guessing.
#pragma once
#include <cstdint>

#include "data/image_source.h"

namespace enas {

inline constexpr int64_t kShapesSide = 32;

struct ShapeCounts {
  int64_t train = 8000, held_out = 1000, test = 1000;
};

// Classes in turn, so that every part has as many of each.
ImageSource shapes10(uint64_t seed, const ShapeCounts& counts);
// The data set itself.
ImageSource shapes10();

}  // namespace enas

// Images brought to another size: a pixel of the result is the mean of the area that it covers,
// parts of pixels by their share, rounded to the nearest. In integers, so that it has the same
// bytes everywhere.
#pragma once
#include "data/image_set.h"

namespace enas {

// u8 [N, H, W, 3] -> [N, height, width, 3].
Tensor scale_images(const Tensor& images, int64_t height, int64_t width);

// All parts at size x size, images of several sizes decoded one by one, with the moments of the new
// pixels. The fingerprint stays: it is that of what was loaded.
ImageData scaled_to(const ImageData& data, int64_t size);

}  // namespace enas

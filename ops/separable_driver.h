// Images over threads, for depthwise and separable convolution: an image is one thread's, sums of
// gradients are kept for each of at most 16 groups of images, a function of their number alone, and
// joined in order. Image is PlainImage<T> or FastImage.
#pragma once
#include "ops/channel_moments.h"
#include "ops/depthwise_image.h"
#include "ops/norm_loops.h"
#include "tensor/thread_pool.h"

namespace enas {

// Calls f(group, image object, first, last) for groups of images.
template <class Image, class F>
void for_each_group_of_images(const ImageWindow& g, const typename Image::Weights& w, int groups,
                              F&& f) {
  parallel_chunks(groups, [&](int group) {
    Image image(g, w);
    f(static_cast<size_t>(group), image, g.images * group / groups,
      g.images * (group + 1) / groups);
  });
}
inline int groups_of_images(const ImageWindow& g) {
  return static_cast<int>(std::min<int64_t>((g.images + 1) / 2, 16));
}

// grad (+)= the sum of the groups' parts, in order.
template <class T>
void join_parts(const std::vector<std::vector<T>>& parts, const GradOut& out) {
  if (!out.wanted()) return;
  T* to = out.tensor->data<T>();
  for (size_t i = 0; i < parts[0].size(); ++i) {
    T total = parts[0][i];
    for (size_t p = 1; p < parts.size(); ++p) total += parts[p][i];
    to[i] = out.into == Into::add ? to[i] + total : total;
  }
}

}  // namespace enas

// The four convolutional networks in plain loops over doubles, written from docs/method.md sections
// 2 and 3 alone: layer after layer, concatenations made, every stored tensor reduced. The tests
// hold the networks of nas/ to them.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "nas/macro/space.h"
#include "nas/micro/space.h"
#include "nn/parameter.h"

namespace enas::test {

struct Map {  // [n, h, w, c]
  int64_t n = 0, h = 0, w = 0, c = 0;
  std::vector<double> v;

  Map() = default;
  Map(int64_t images, int64_t rows, int64_t columns, int64_t channels)
      : n(images),
        h(rows),
        w(columns),
        c(channels),
        v(static_cast<size_t>(images * rows * columns * channels), 0.0) {}
  explicit Map(const Tensor& t)
      : n(t.size(0)), h(t.size(1)), w(t.size(2)), c(t.size(3)), v(t.to_vector()) {}
  size_t index(int64_t b, int64_t i, int64_t j, int64_t k) const {
    return static_cast<size_t>(((b * h + i) * w + j) * c + k);
  }
  bool inside(int64_t i, int64_t j) const { return i >= 0 && i < h && j >= 0 && j < w; }
  double get(int64_t b, int64_t i, int64_t j, int64_t k) const {
    return inside(i, j) ? v[index(b, i, j, k)] : 0;
  }
};

struct Grid {  // how a window lies
  int64_t kernel, stride = 1;
  bool tf_same = false, valid = false;
  int64_t before(int64_t in) const {
    if (valid) return 0;
    if (!tf_same) return (kernel - 1) / 2;
    return std::max<int64_t>((out(in) - 1) * stride + kernel - in, 0) / 2;
  }
  int64_t out(int64_t in) const {
    return valid ? (in - kernel) / stride + 1 : (in + stride - 1) / stride;
  }
};

class Naive {
 public:
  // macs: where the multiply-adds of one image are counted, taps on the border too.
  explicit Naive(const ParameterStore& store, bool running = false, int64_t* macs = nullptr)
      : store_(store), running_(running), macs_(macs) {}
  bool has(const std::string& name) const { return store_.find(name) != nullptr; }

  static Map relu(Map x) {
    for (double& v : x.v) v = std::max(v, 0.0);
    return x;
  }
  static Map add(Map a, const Map& b) {
    for (size_t i = 0; i < a.v.size(); ++i) a.v[i] += b.v.at(i);
    return a;
  }
  static Map concat(const std::vector<Map>& list) {
    int64_t c = 0;
    for (const Map& m : list) c += m.c;
    Map y(list[0].n, list[0].h, list[0].w, c);
    int64_t first = 0;
    for (const Map& m : list) {
      for_each(m, [&](int64_t b, int64_t i, int64_t j, int64_t k) {
        y.v[y.index(b, i, j, first + k)] = m.get(b, i, j, k);
      });
      first += m.c;
    }
    return y;
  }
  // y[i, j, o] = sum over taps and channels of x * weight(ky, kx, c, o).
  template <class F>
  static Map window(const Map& x, const Grid& g, int64_t channels, F&& tap) {
    Map y(x.n, g.out(x.h), g.out(x.w), channels);
    for_each(y, [&](int64_t b, int64_t i, int64_t j, int64_t o) {
      double& sum = y.v[y.index(b, i, j, o)];
      for (int64_t ky = 0; ky < g.kernel; ++ky) {
        for (int64_t kx = 0; kx < g.kernel; ++kx) {
          const int64_t r = i * g.stride - g.before(x.h) + ky,
                        s = j * g.stride - g.before(x.w) + kx;
          if (x.inside(r, s)) sum += tap(b, r, s, ky, kx, o);
        }
      }
    });
    return y;
  }
  Map conv(const Map& x, const std::string& name, const Grid& g) const {
    const Tensor& w = store_.get(name).value;
    const int64_t out = w.size(-1);
    count(w.numel() * g.out(x.h) * g.out(x.w));
    return window(x, g, out,
                  [&](int64_t b, int64_t r, int64_t s, int64_t ky, int64_t kx, int64_t o) {
                    double sum = 0;
                    for (int64_t c = 0; c < x.c; ++c)
                      sum += x.get(b, r, s, c) * w.item(((ky * g.kernel + kx) * x.c + c) * out + o);
                    return sum;
                  });
  }
  Map depthwise(const Map& x, const std::string& name, const Grid& g) const {
    const Tensor& w = store_.get(name).value;
    count(w.numel() * g.out(x.h) * g.out(x.w));
    return window(x, g, x.c,
                  [&](int64_t b, int64_t r, int64_t s, int64_t ky, int64_t kx, int64_t o) {
                    return x.get(b, r, s, o) * w.item((ky * g.kernel + kx) * x.c + o);
                  });
  }
  static Map average(const Map& x, const Grid& g) {
    const Map ones = window(x, g, x.c, [](auto...) { return 1.0; });
    Map y = window(x, g, x.c, [&](int64_t b, int64_t r, int64_t s, int64_t, int64_t, int64_t o) {
      return x.get(b, r, s, o);
    });
    for (size_t i = 0; i < y.v.size(); ++i) y.v[i] /= ones.v[i];
    return y;
  }
  static Map maximum(const Map& x, const Grid& g) {
    Map y(x.n, g.out(x.h), g.out(x.w), x.c);
    std::fill(y.v.begin(), y.v.end(), -HUGE_VAL);
    for_each(y, [&](int64_t b, int64_t i, int64_t j, int64_t o) {
      for (int64_t t = 0; t < g.kernel * g.kernel; ++t) {
        const int64_t r = i * g.stride - g.before(x.h) + t / g.kernel,
                      s = j * g.stride - g.before(x.w) + t % g.kernel;
        double& y_at = y.v[y.index(b, i, j, o)];
        if (x.inside(r, s)) y_at = std::max(y_at, x.get(b, r, s, o));
      }
    });
    return y;
  }
  Map norm(Map x, const std::string& name, double epsilon = 1e-5) const {
    const auto per_channel = static_cast<double>(x.n * x.h * x.w);
    const auto sum_over = [&](int64_t k, const std::function<double(double)>& f) {
      double sum = 0;
      for (auto i = static_cast<size_t>(k); i < x.v.size(); i += static_cast<size_t>(x.c))
        sum += f(x.v[i]);
      return sum / per_channel;
    };
    for (int64_t k = 0; k < x.c; ++k) {
      double mean, variance;
      if (running_) {
        mean = buffer(name + ".mean").item(k);
        variance = buffer(name + ".variance").item(k);
      } else {
        mean = sum_over(k, [](double v) { return v; });
        variance = sum_over(k, [&](double v) { return (v - mean) * (v - mean); });
      }
      const double scale = store_.get(name + ".scale").value.item(k),
                   offset = store_.get(name + ".offset").value.item(k);
      for (auto i = static_cast<size_t>(k); i < x.v.size(); i += static_cast<size_t>(x.c))
        x.v[i] = (x.v[i] - mean) / std::sqrt(variance + epsilon) * scale + offset;
    }
    return x;
  }
  // Convolution over a concatenation whose weights lie in blocks: "name.weight", or
  // "name.weight.0", ...
  Map blocks(const std::vector<Map>& sources, const std::string& name) const {
    Map y;
    for (size_t i = 0; i < sources.size(); ++i) {
      const Map part =
          conv(sources[i], sources.size() == 1 ? name : name + "." + std::to_string(i), {1});
      y = i == 0 ? part : add(y, part);
    }
    return y;
  }
  Map pointwise(const std::vector<Map>& sources, const std::string& name) const {
    return norm(blocks(sources, name + ".weight"), name + ".norm");
  }
  static Map shifted(const Map& x, int64_t by) {  // every second pixel, from `by` on
    Map y(x.n, (x.h + 1) / 2, (x.w + 1) / 2, x.c);
    for_each(y, [&](int64_t b, int64_t i, int64_t j, int64_t k) {
      y.v[y.index(b, i, j, k)] = x.get(b, 2 * i + by, 2 * j + by, k);
    });
    return y;
  }
  Map reduction(const std::vector<Map>& sources, const std::string& name) const {
    std::vector<Map> even, odd;
    for (const Map& x : sources) even.push_back(shifted(x, 0)), odd.push_back(shifted(x, 1));
    return norm(concat({blocks(even, name + ".even"), blocks(odd, name + ".odd")}), name + ".norm");
  }
  // ReLU, depthwise, 1x1, BN.
  Map separable(const Map& x, const std::string& name, const Grid& g, double epsilon = 1e-5) const {
    return norm(conv(depthwise(relu(x), name + ".depthwise", g), name + ".pointwise", {1}),
                name + ".norm", epsilon);
  }
  // Global average of the sources' concatenation, times a matrix: [n][classes].
  std::vector<double> head(const Map& x, const std::string& name) const {
    const Tensor& w = store_.get(name + ".weight").value;
    count(w.numel());
    std::vector<double> logits;
    for (int64_t b = 0; b < x.n; ++b) {
      for (int64_t o = 0; o < w.size(1); ++o) {
        double sum = 0;
        for (int64_t i = 0; i < x.h * x.w * x.c; ++i)
          sum +=
              x.v[static_cast<size_t>(b * x.h * x.w * x.c + i)] * w.item(i % x.c * w.size(1) + o);
        logits.push_back(sum / static_cast<double>(x.h * x.w));
      }
    }
    return logits;
  }

 private:
  template <class F>
  static void for_each(const Map& m, F&& f) {
    for (int64_t b = 0; b < m.n; ++b)
      for (int64_t i = 0; i < m.h; ++i)
        for (int64_t j = 0; j < m.w; ++j)
          for (int64_t k = 0; k < m.c; ++k) f(b, i, j, k);
  }
  const Tensor& buffer(const std::string& name) const {
    for (const Buffer& b : store_.buffers())
      if (b.name == name) return b.value;
    fail(ErrorKind::internal, "naive", "no buffer ", name);
  }
  void count(int64_t macs) const {
    if (macs_ != nullptr) *macs_ += macs;
  }
  const ParameterStore& store_;
  bool running_;
  int64_t* macs_;
};

}  // namespace enas::test

// Rates of the products of the recurrent cells (tests/rates.h).
#include "tests/rates.h"

#ifdef ENAS_FMA_LOOP
#include <memory>

#include "tensor/packed_gemm.h"
#include "tensor/stacked_gemm.h"
#include "tensor/tensor.h"

namespace enas::test {
namespace {

TEST(Rates, KeyKernelsKeepTheirShareOfTheFmaLoop) {
  constexpr int64_t kRows = 64, kDepth = 200, kColumns = 480;
  const Tensor a = Tensor::full({kRows, kDepth}, 0.5), w = Tensor::full({kDepth, kColumns}, 0.25);
  const Tensor turned = Tensor::full({kColumns, kDepth}, 0.25);
  const Tensor x = Tensor::full({256, 128}, 0.5), dz = Tensor::full({256, 256}, 0.25);
  Tensor c({kRows, kColumns}), dw({128, 256});
  const RowBlock rows[] = {{x.data<float>(), dz.data<float>(), 128},
                           {x.data<float>() + 128 * 128, dz.data<float>() + 128 * 256, 128}};
  const auto product = [&](bool transposed) {
    const auto b = std::make_shared<PackedMatrix>(transposed, kDepth, kColumns,
                                                  (transposed ? turned : w).data<float>(),
                                                  transposed ? kDepth : kColumns);
    return [&, b] {
      packed_gemm(kRows, a.data<float>(), kDepth, *b, false, c.data<float>(), kColumns);
    };
  };
  expect_rates([&] {
    const double fmas = kRows * kDepth * kColumns;
    return std::vector<RatedKernel>{
        {"packed product", fmas, {0.4, 0.4, 0.4}, product(false)},
        {"highway cell's product, transposed", fmas, {0.4, 0.4, 0.4}, product(true)},
        {"weight gradient", 256.0 * 128 * 256, {0.3, 0.3, 0.3}, [&] {
           stacked_gemm(rows, 128, 256, false, dw.data<float>());
         }}};
  });
}

}  // namespace
}  // namespace enas::test
#endif  // ENAS_FMA_LOOP

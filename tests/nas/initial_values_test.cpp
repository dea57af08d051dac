// Initial sigma of the convolutional search networks (docs/method.md, first table): He-normal with
// the fan-in that the final network's tensors give, a loose-end block's its own channels; parity
// switch he-rows takes the rows of the published tables instead.
#include <regex>

#include "nas/macro/child.h"
#include "nas/micro/child.h"
#include "tests/nas/image_networks.h"

namespace enas::test {
namespace {

// Within five standard errors of sqrt(2 / fan-in).
void expect_he(const Parameter& p, double fan_in) {
  double squares = 0;
  for (const double value : p.value.to_vector()) squares += value * value;
  const auto n = static_cast<double>(p.value.numel());
  const double sigma = std::sqrt(2 / fan_in);
  EXPECT_NEAR(std::sqrt(squares / n), sigma, 5 * sigma / std::sqrt(2 * n)) << p.name;
}

double inputs_of(const Parameter& p) {  // all axes but the last
  return static_cast<double>(p.value.numel()) / static_cast<double>(p.value.size(-1));
}

TEST(InitialValues, MacroSearchNetwork) {
  for (const bool concat : {false, true}) {
    MacroChildOptions options;
    options.filters = 12;
    MacroChild child(MacroSpace(4, {.concat_input = concat}), options, 1, DType::f64);
    for (const Parameter& p : child.parameters()) {
      if (p.value.rank() == 1) continue;  // scales and offsets
      const bool depthwise = p.name.find(".depthwise") != std::string::npos;
      expect_he(p, depthwise ? static_cast<double>(p.value.numel()) : inputs_of(p));
    }
  }
}

// The weights whose row the input chooses: node n has n of them, the loose ends one a node.
struct Row {
  double fan_in, rows;  // rows 0: in no table
};
Row row_of(const Parameter& p, int nodes) {
  static const std::regex node(R"(\.node\.(\d+)\..*\.(depthwise|pointwise)$)"),
      end(R"(\.end\.\d+\.weight$)");
  std::smatch match;
  if (std::regex_search(p.name, match, node)) {
    const bool depthwise = match[2] == "depthwise";
    return {depthwise ? static_cast<double>(p.value.numel()) : inputs_of(p), std::stod(match[1])};
  }
  return {inputs_of(p), std::regex_search(p.name, end) ? nodes + 2.0 : 0};
}

TEST(InitialValues, MicroSearchNetworkByTensorsAndByRows) {
  constexpr int kNodes = 3;
  MicroChildOptions options;
  options.normal_cells = 1, options.filters = 4, options.reduce_stride2 = true;
  MicroChild child(MicroSpace(kNodes), options, 1, DType::f64);
  options.he_rows = true;
  MicroChild by_rows(MicroSpace(kNodes), options, 1, DType::f64);
  std::set<double> rows;
  for (const Parameter& p : child.parameters()) {
    const Parameter& other = by_rows.parameters().get(p.name);
    if (p.value.rank() == 1) continue;
    const Row row = row_of(p, kNodes);
    expect_he(p, row.fan_in);
    rows.insert(row.rows);
    const double ratio = row.rows > 0 ? std::sqrt(row.fan_in / row.rows) : 1;
    for (int64_t i = 0; i < p.value.numel(); ++i)
      ASSERT_NEAR(other.value.item(i), ratio * p.value.item(i), 1e-12) << p.name;
  }
  EXPECT_EQ(rows, (std::set<double>{0, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace enas::test

#include "nas/micro/cost.h"

#include <algorithm>
#include <array>

namespace enas {
namespace {

struct Map {  // of a cell's output
  int64_t channels, side;
};
int64_t pixels_of(int64_t side) { return side * side; }

// One operation of an edge. stride2: of a reduction cell whose edges from the inputs halve the map.
void count_op(NetworkCost& cost, MicroOp op, int input, bool stride2, int64_t filters,
              int64_t pixels) {
  if (is_separable(op)) {
    for (int stack = 0; stack < 2; ++stack) cost.separable_norm(kernel_of(op), filters, pixels);
  } else if (op == MicroOp::identity && stride2 && input < 2) {
    cost.reduction_norm(filters, filters, pixels);
  }
}

// The nodes of one cell; pixels of its output.
void count_nodes(NetworkCost& cost, const MicroCell& cell, bool stride2, int64_t filters,
                 int64_t pixels) {
  for (const MicroCell::Node& n : cell.nodes) {
    count_op(cost, n.op1, n.in1, stride2, filters, pixels);
    count_op(cost, n.op2, n.in2, stride2, filters, pixels);
  }
  for (const int node : cell.loose_ends)
    if (stride2 && node < 2) cost.reduction_norm(filters, filters, pixels);
}

// Every operation of every edge, and every loose end.
void count_all_nodes(NetworkCost& cost, int nodes, bool stride2, int64_t filters) {
  for (int node = 2; node < nodes + 2; ++node)
    for (int edge = 0; edge < 2 * node; ++edge)
      for (int op = 0; op < kMicroOps; ++op)
        count_op(cost, static_cast<MicroOp>(op), edge / 2, stride2, filters, 0);
  if (stride2) cost.params += 2 * (filters * filters + 2 * filters);
}

// The search network; arch null: all its weights.
NetworkCost count_child(const MicroSpace& space, const MicroArch* arch,
                        const MicroChildOptions& o) {
  const MicroSkeleton skeleton{o.normal_cells};
  NetworkCost cost;
  int64_t filters = o.filters;
  Map last{3 * filters, o.image_size}, before = last;
  cost.conv_norm(3, 3, last.channels, pixels_of(last.side));
  for (int layer = 0; layer < skeleton.layers(); ++layer) {
    const bool reduction = skeleton.reduces(layer), stride2 = reduction && o.reduce_stride2;
    if (reduction) filters *= 2;
    if (reduction && !stride2) {
      before = last;
      last = {filters, half_of(last.side)};
      cost.reduction_norm(before.channels, filters, pixels_of(last.side));
    }
    if (before.side != last.side || before.channels != filters)
      cost.conv_norm(1, before.channels, filters, pixels_of(last.side));
    if (last.channels != filters) cost.conv_norm(1, last.channels, filters, pixels_of(last.side));
    before = last;
    last = {filters, stride2 ? half_of(last.side) : last.side};
    const int64_t pixels = pixels_of(last.side);
    int64_t ends = space.nodes() + 2;
    if (arch != nullptr) {
      const MicroCell& cell = reduction ? arch->reduction : arch->normal;
      count_nodes(cost, cell, stride2, filters, pixels);
      ends = static_cast<int64_t>(cell.loose_ends.size());
    } else {
      count_all_nodes(cost, space.nodes(), stride2, filters);
    }
    cost.conv_norm(1, ends * filters, filters, pixels);
    if (o.auxiliary && layer == skeleton.auxiliary_layer())
      cost.params += auxiliary_params(filters, o.classes, o.image_size);
  }
  cost.conv(1, filters, o.classes, 1);
  return cost;
}

}  // namespace

int64_t auxiliary_params(int64_t channels, int64_t classes, int64_t image_size) {
  const int64_t map = reduced_twice(image_size), pooled = (map - 5) / 3 + 1;
  NetworkCost cost;
  cost.conv_norm(1, channels, 128, 0);
  cost.conv_norm(pooled, 128, 768, 0);
  cost.conv(1, 768, classes, 0);
  return cost.params;
}

int64_t micro_shared_params(const MicroSpace& space, const MicroChildOptions& options) {
  return count_child(space, nullptr, options).params;
}

NetworkCost micro_child_cost(const MicroSpace& space, const Architecture& arch,
                             const MicroChildOptions& options) {
  const MicroArch decoded = space.decode(arch);
  return count_child(space, &decoded, options);
}

NetworkCost micro_final_cost(const MicroSpace& space, const Architecture& arch,
                             const MicroFinalOptions& o) {
  const MicroArch decoded = space.decode(arch);
  const MicroSkeleton skeleton{o.normal_cells};
  NetworkCost cost;
  int64_t filters = o.filters;
  Map last{3 * filters, o.image_size}, before = last;
  cost.conv_norm(3, 3, last.channels, pixels_of(last.side));
  for (int layer = 0; layer < skeleton.layers(); ++layer) {
    const bool reduction = skeleton.reduces(layer);
    if (reduction) filters *= 2;
    const int64_t in = pixels_of(last.side);
    if (before.side != last.side || before.channels != filters)
      cost.conv_norm(1, before.channels, filters, in);
    if (last.channels != filters) cost.conv_norm(1, last.channels, filters, in);
    cost.conv_norm(1, filters, filters, in);
    const MicroCell& cell = reduction ? decoded.reduction : decoded.normal;
    const int64_t side = reduction ? half_of(last.side) : last.side;
    count_nodes(cost, cell, reduction, filters, pixels_of(side));
    before = last;
    last = {static_cast<int64_t>(cell.loose_ends.size()) * filters, side};
    if (o.auxiliary && layer == skeleton.auxiliary_layer())
      cost.params += auxiliary_params(last.channels, o.classes, o.image_size);
  }
  cost.conv(1, last.channels, o.classes, 1);
  return cost;
}

}  // namespace enas

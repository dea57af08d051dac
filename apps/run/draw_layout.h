// Layered layout (Sugiyama, Tagawa and Toda 1981): longest-path layers, dummies for edges that span
// several, order by barycentres, places by isotonic least squares. `along` runs from inputs to
// output, `across` within a layer. Parts that no edge connects are laid out one by one.
#pragma once
#include <string>
#include <vector>

#include "apps/run/draw.h"

namespace enas {

struct LayoutSize {
  double across = 0;
  double along = 0;
};

struct LayoutPoint {
  double across = 0;
  double along = 0;
};

// A curve from start through cubic pieces; a piece is two control points and its end.
struct LayoutCurve {
  LayoutPoint start;
  std::vector<LayoutPoint> points;  // three a piece
};

struct Layout {
  std::vector<LayoutPoint> centers;  // as drawing.nodes
  // As drawing.edges; they leave and enter boxes along the flow and cross none.
  std::vector<LayoutCurve> curves;
  LayoutSize size;
};

// `sizes` of the boxes, as drawing.nodes. Errors as to_svg.
Layout lay_out(const Drawing& drawing, const std::vector<LayoutSize>& sizes);

}  // namespace enas

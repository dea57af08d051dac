// Drawings by layers (draw_layout.h): curved arrows from box to box.
#include "apps/run/draw_layout.h"
#include "apps/run/draw_shapes.h"
#include "apps/run/svg_text.h"

namespace enas {
namespace {

class Layered {
 public:
  Layered(const Drawing& drawing, const DrawColors& colors) : drawing_(drawing), colors_(colors) {
    for (const DrawnEdge& edge : drawing.edges) arrow_ = edge.faint ? kDrawTaken : arrow_;
    std::vector<LayoutSize> sizes;
    for (const DrawnNode& node : drawing.nodes) {
      widths_.push_back(box_width(node));
      sizes.push_back(drawing.top_down ? LayoutSize{widths_.back(), kBoxHeight}
                                       : LayoutSize{kBoxHeight, widths_.back()});
    }
    layout_ = lay_out(drawing, sizes);
  }

  DrawBody body() const {
    DrawBody body;
    const auto& [across, along] = layout_.size;
    body.width = drawing_.top_down ? across : along;
    body.height = drawing_.top_down ? along : across;
    body.defs = svg_arrow_head("arrow", arrow_) + svg_arrow_head("faint", kDrawFaint);
    for (const bool faint : {true, false}) {
      for (std::size_t i = 0; i < drawing_.edges.size(); ++i) {
        if (drawing_.edges[i].faint == faint) body.shapes += edge(i);
      }
    }
    for (std::size_t i = 0; i < drawing_.edges.size(); ++i) body.shapes += edge_label(i);
    for (std::size_t i = 0; i < drawing_.nodes.size(); ++i) {
      const DrawnNode& node = drawing_.nodes[i];
      const auto [x, y] = place(layout_.centers[i]);
      body.shapes += svg_box(node, colors_.of(node), x, y, widths_[i]);
    }
    return body;
  }

 private:
  std::pair<double, double> place(const LayoutPoint& p) const {
    return drawing_.top_down ? std::make_pair(p.across, p.along)
                             : std::make_pair(p.along, p.across);
  }

  std::string point(const LayoutPoint& p) const {
    const auto [x, y] = place(p);
    return svg_number(x) + " " + svg_number(y);
  }

  std::string edge(std::size_t i) const {
    const LayoutCurve& curve = layout_.curves[i];
    const bool faint = drawing_.edges[i].faint;
    std::string path = "M" + point(curve.start);
    for (std::size_t k = 0; k + 2 < curve.points.size(); k += 3) {
      path += " C" + point(curve.points[k]) + " " + point(curve.points[k + 1]) + " " +
              point(curve.points[k + 2]);
    }
    return "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + (faint ? kDrawFaint : arrow_) +
           "\" stroke-width=\"" + (faint ? "1.3" : "1.8") + "\" marker-end=\"url(#" +
           (faint ? "faint" : "arrow") + ")\"/>\n";
  }

  // Beside the middle of the first curved piece, on a white plate.
  std::string edge_label(std::size_t i) const {
    const std::string& label = drawing_.edges[i].label;
    if (label.empty()) return "";
    const LayoutCurve& curve = layout_.curves[i];
    LayoutPoint at = curve.start;
    std::size_t k = 0;
    while (k + 5 < curve.points.size() && curve.points[k].across == curve.points[k + 2].across &&
           curve.points[k + 1].along == curve.points[k + 2].along) {
      at = curve.points[k + 2];  // a straight piece within a layer
      k += 3;
    }
    const LayoutPoint& end = curve.points[k + 2];
    const auto [x, y] = place({(at.across + end.across) / 2, (at.along + end.along) / 2});
    const Words words;
    const double width = text_width(label, words.size) + 6;
    return "<rect x=\"" + svg_number(x - width / 2) + "\" y=\"" + svg_number(y - 8) +
           "\" width=\"" + svg_number(width) +
           "\" height=\"16\" rx=\"4\" fill=\"#ffffff\" fill-opacity=\"0.9\"/>\n" +
           svg_words(x, y + 4, words, svg_label(label));
  }

  const Drawing& drawing_;
  const DrawColors& colors_;
  const char* arrow_ = kDrawArrow;
  std::vector<double> widths_;
  Layout layout_;
};

}  // namespace

DrawBody draw_layered(const Drawing& drawing, const DrawColors& colors) {
  return Layered(drawing, colors).body();
}

}  // namespace enas

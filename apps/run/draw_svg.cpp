// to_svg: boxes coloured by what they compute, curved arrows, a legend; plain SVG 1.1 with sizes in
// pixels. Numbers are printed in tenths, so that the bytes do not depend on the last bits of the
// layout.
#include <algorithm>
#include <cmath>

#include "apps/run/draw.h"
#include "apps/run/draw_layout.h"
#include "apps/run/svg_text.h"

namespace enas {
namespace {

constexpr double kMargin = 28;
constexpr double kBoxHeight = 40;
constexpr double kBadgeRadius = 11;
constexpr double kFontSize = 15;
constexpr double kSmallFont = 12;
constexpr double kLegendRow = 24;
constexpr const char* kFont = "Inter, 'Segoe UI', Helvetica, Arial, sans-serif";
constexpr const char* kInk = "#1f2937";
constexpr const char* kMuted = "#6b7280";
constexpr const char* kArrow = "#475569";
constexpr const char* kTaken = "#dc2626";  // a choice, beside those that were not taken
constexpr const char* kFaint = "#d5dae1";

struct Color {
  const char* fill;
  const char* edge;
};

struct NamedColor {
  const char* style;
  Color color;
};

constexpr Color kNeutral = {"#f1f5f9", "#64748b"};
constexpr NamedColor kNamed[] = {
    {"tanh", {"#dbeafe", "#2563eb"}},
    {"relu", {"#ffedd5", "#ea580c"}},
    {"sigmoid", {"#dcfce7", "#16a34a"}},
    {"identity", {"#ede9fe", "#7c3aed"}},
};
constexpr Color kPalette[] = {
    {"#dbeafe", "#2563eb"}, {"#ffedd5", "#ea580c"}, {"#dcfce7", "#16a34a"}, {"#ede9fe", "#7c3aed"},
    {"#fce7f3", "#db2777"}, {"#cffafe", "#0891b2"}, {"#fef9c3", "#ca8a04"}, {"#e7e5e4", "#57534e"},
};

bool is_pill(const DrawnNode& node) {
  return node.kind == NodeKind::input || node.kind == NodeKind::output;
}

std::vector<std::string> styles_of(const Drawing& drawing) {
  std::vector<std::string> styles;
  for (const DrawnNode& node : drawing.nodes) {
    if (node.style.empty() || is_pill(node)) continue;
    if (std::find(styles.begin(), styles.end(), node.style) == styles.end()) {
      styles.push_back(node.style);
    }
  }
  std::sort(styles.begin(), styles.end());
  return styles;
}

// A named style has its own colour; the others take what is left of the palette, in order.
std::vector<Color> colors_of(const std::vector<std::string>& styles) {
  const auto named = [](const std::string& style) {
    return std::find_if(std::begin(kNamed), std::end(kNamed),
                        [&](const NamedColor& entry) { return style == entry.style; });
  };
  std::vector<Color> left;
  for (const Color& color : kPalette) {
    const bool taken = std::any_of(styles.begin(), styles.end(), [&](const std::string& style) {
      const auto found = named(style);
      return found != std::end(kNamed) && std::string_view(found->color.edge) == color.edge;
    });
    if (!taken) left.push_back(color);
  }
  std::vector<Color> colors;
  std::size_t used = 0;
  for (const std::string& style : styles) {
    const auto found = named(style);
    colors.push_back(found != std::end(kNamed) ? found->color : left[used++ % left.size()]);
  }
  return colors;
}

double box_width(const DrawnNode& node) {
  const double badge = node.badge.empty() ? 0 : 2 * kBadgeRadius + 8;
  return std::max(64.0,
                  std::ceil(text_width(node.label, kFontSize) + badge + (is_pill(node) ? 34 : 26)));
}

class Svg {
 public:
  explicit Svg(const Drawing& drawing)
      : drawing_(drawing), styles_(styles_of(drawing)), colors_(colors_of(styles_)) {
    for (const DrawnEdge& edge : drawing.edges) arrow_ = edge.faint ? kTaken : arrow_;
    std::vector<LayoutSize> sizes;
    for (const DrawnNode& node : drawing.nodes) {
      widths_.push_back(box_width(node));
      sizes.push_back(drawing.top_down ? LayoutSize{widths_.back(), kBoxHeight}
                                       : LayoutSize{kBoxHeight, widths_.back()});
    }
    layout_ = lay_out(drawing, sizes);
    const double across = layout_.size.across;
    const double along = layout_.size.along;
    const double inner = drawing.top_down ? across : along;
    width_ = std::max({inner, text_width(drawing.title, 18), text_width(drawing.subtitle, 13),
                       std::min(legend_width(), std::max(inner, 360.0))}) +
             2 * kMargin;
    left_ = (width_ - inner) / 2;
    top_ = kMargin + (drawing.title.empty() ? 0 : 26) + (drawing.subtitle.empty() ? 0 : 20);
    if (top_ > kMargin) top_ += 6;
    bottom_ = top_ + (drawing.top_down ? along : across);
  }

  std::string text() {
    std::string body = heading();
    for (const bool faint : {true, false}) {
      for (std::size_t i = 0; i < drawing_.edges.size(); ++i) {
        if (drawing_.edges[i].faint == faint) body += edge(i);
      }
    }
    for (std::size_t i = 0; i < drawing_.edges.size(); ++i) body += edge_label(i);
    for (std::size_t i = 0; i < drawing_.nodes.size(); ++i) body += node(i);
    body += legend();
    const std::string size = svg_number(width_) + " " + svg_number(bottom_ + kMargin);
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size + "\" width=\"" +
           svg_number(width_) + "\" height=\"" + svg_number(bottom_ + kMargin) +
           "\" font-family=\"" + kFont + "\" role=\"img\">\n" + "<title>" +
           svg_escape(drawing_.title) + "</title>\n" + markers() +
           "<rect width=\"100%\" height=\"100%\" rx=\"14\" fill=\"#ffffff\"/>\n" + body +
           "</svg>\n";
  }

 private:
  static std::string marker(const char* id, const char* color) {
    return std::string("<marker id=\"") + id +
           "\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"10\" markerHeight=\"10\" "
           "markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0.5 0.8 L9.5 5 L0.5 9.2 "
           "L2.6 5 Z\" fill=\"" +
           color + "\"/></marker>";
  }

  std::string markers() const {
    return "<defs>" + marker("arrow", arrow_) + marker("faint", kFaint) + "</defs>\n";
  }

  std::string point(const LayoutPoint& p) const {
    const double x = left_ + (drawing_.top_down ? p.across : p.along);
    const double y = top_ + (drawing_.top_down ? p.along : p.across);
    return svg_number(x) + " " + svg_number(y);
  }

  std::string words(double x, double y, double size, const char* color, const char* anchor,
                    const char* weight, const std::string& content) const {
    return "<text x=\"" + svg_number(x) + "\" y=\"" + svg_number(y) + "\" font-size=\"" +
           svg_number(size) + "\" fill=\"" + color + "\" text-anchor=\"" + anchor +
           "\" font-weight=\"" + weight + "\">" + content + "</text>\n";
  }

  std::string heading() const {
    std::string text;
    double y = kMargin + 12;
    if (!drawing_.title.empty()) {
      text += words(width_ / 2, y, 18, kInk, "middle", "700", svg_label(drawing_.title));
      y += 22;
    }
    if (!drawing_.subtitle.empty()) {
      text += words(width_ / 2, y, 13, kMuted, "middle", "400", svg_label(drawing_.subtitle));
    }
    return text;
  }

  std::string edge(std::size_t i) const {
    const LayoutCurve& curve = layout_.curves[i];
    const bool faint = drawing_.edges[i].faint;
    std::string path = "M" + point(curve.start);
    for (std::size_t k = 0; k + 2 < curve.points.size(); k += 3) {
      path += " C" + point(curve.points[k]) + " " + point(curve.points[k + 1]) + " " +
              point(curve.points[k + 2]);
    }
    return "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + (faint ? kFaint : arrow_) +
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
    const LayoutPoint middle = {(at.across + end.across) / 2, (at.along + end.along) / 2};
    const double x = left_ + (drawing_.top_down ? middle.across : middle.along);
    const double y = top_ + (drawing_.top_down ? middle.along : middle.across);
    const double width = text_width(label, kSmallFont) + 6;
    return "<rect x=\"" + svg_number(x - width / 2) + "\" y=\"" + svg_number(y - 8) +
           "\" width=\"" + svg_number(width) +
           "\" height=\"16\" rx=\"4\" fill=\"#ffffff\" fill-opacity=\"0.9\"/>\n" +
           words(x, y + 4, kSmallFont, kMuted, "middle", "400", svg_label(label));
  }

  Color color_of(const DrawnNode& node) const {
    if (node.kind == NodeKind::input) return {"#ffffff", "#334155"};
    if (node.kind == NodeKind::output) return {"#334155", "#334155"};
    const auto found = std::find(styles_.begin(), styles_.end(), node.style);
    return found == styles_.end() ? kNeutral
                                  : colors_[static_cast<std::size_t>(found - styles_.begin())];
  }

  std::string node(std::size_t i) const {
    const DrawnNode& node = drawing_.nodes[i];
    const LayoutPoint& center = layout_.centers[i];
    const double x = left_ + (drawing_.top_down ? center.across : center.along);
    const double y = top_ + (drawing_.top_down ? center.along : center.across);
    const double width = widths_[i];
    const bool output = node.kind == NodeKind::output;
    const Color color = color_of(node);
    std::string text = "<rect x=\"" + svg_number(x - width / 2) + "\" y=\"" +
                       svg_number(y - kBoxHeight / 2) + "\" width=\"" + svg_number(width) +
                       "\" height=\"" + svg_number(kBoxHeight) + "\" rx=\"" +
                       (is_pill(node) ? svg_number(kBoxHeight / 2) : "9") + "\" fill=\"" +
                       color.fill + "\" stroke=\"" + color.edge + "\" stroke-width=\"" +
                       (node.kind == NodeKind::loose ? "3" : "1.5") + "\"/>\n";
    double middle = x;
    if (!node.badge.empty()) {
      const double badge = x - width / 2 + kBadgeRadius + 9;
      middle += kBadgeRadius + 4;
      text += "<circle cx=\"" + svg_number(badge) + "\" cy=\"" + svg_number(y) + "\" r=\"" +
              svg_number(kBadgeRadius) + "\" fill=\"" + color.edge + "\"/>\n" +
              words(badge, y + 4.3, kSmallFont, "#ffffff", "middle", "700", svg_escape(node.badge));
    }
    return text + words(middle, y + 5.2, kFontSize, output ? "#ffffff" : kInk, "middle", "600",
                        svg_label(node.label));
  }

  struct Entry {
    std::string label;
    Color color;
    const char* border;
  };

  std::vector<Entry> entries() const {
    std::vector<Entry> found;
    for (std::size_t i = 0; i < styles_.size(); ++i) {
      found.push_back({styles_[i], colors_[i], "1.5"});
    }
    const bool loose = std::any_of(drawing_.nodes.begin(), drawing_.nodes.end(),
                                   [](const auto& n) { return n.kind == NodeKind::loose; });
    if (loose) found.push_back({"loose end", {"#ffffff", "#64748b"}, "3"});
    return found;
  }

  static double entry_width(const Entry& entry) {
    return 22 + text_width(entry.label, kSmallFont) + 16;
  }

  double legend_width() const {
    double width = -16;
    for (const Entry& entry : entries()) width += entry_width(entry);
    return std::max(0.0, width);
  }

  // Rows of entries, centred; bottom_ grows by their height.
  std::string legend() {
    std::vector<std::vector<Entry>> rows;
    double used = 0;
    for (const Entry& entry : entries()) {
      if (rows.empty() || used + entry_width(entry) > width_ - 2 * kMargin + 16.5) {
        rows.emplace_back();
        used = 0;
      }
      rows.back().push_back(entry);
      used += entry_width(entry);
    }
    std::string text;
    if (!rows.empty()) bottom_ += 14;
    for (const std::vector<Entry>& row : rows) {
      double total = -16;
      for (const Entry& entry : row) total += entry_width(entry);
      double x = (width_ - total) / 2;
      const double y = bottom_ + kLegendRow / 2;
      for (const Entry& entry : row) {
        text += "<rect x=\"" + svg_number(x + 1) + "\" y=\"" + svg_number(y - 7) +
                "\" width=\"14\" height=\"14\" rx=\"4\" fill=\"" + entry.color.fill +
                "\" stroke=\"" + entry.color.edge + "\" stroke-width=\"" + entry.border + "\"/>\n" +
                words(x + 22, y + 4.3, kSmallFont, kMuted, "start", "400", svg_escape(entry.label));
        x += entry_width(entry);
      }
      bottom_ += kLegendRow;
    }
    return text;
  }

  const Drawing& drawing_;
  const char* arrow_ = kArrow;
  std::vector<std::string> styles_;
  std::vector<Color> colors_;  // as styles_
  std::vector<double> widths_;
  Layout layout_;
  double width_ = 0;
  double left_ = 0;
  double top_ = 0;
  double bottom_ = 0;
};

}  // namespace

std::string to_svg(const Drawing& drawing) { return Svg(drawing).text(); }

}  // namespace enas

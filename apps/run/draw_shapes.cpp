// See draw_shapes.h.
#include "apps/run/draw_shapes.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "apps/run/svg_text.h"

namespace enas {
namespace {

constexpr double kBadgeRadius = 11;
constexpr double kFontSize = 15;

struct NamedColor {
  const char* style;
  DrawColor color;
};

constexpr DrawColor kBlue = {"#dbeafe", "#2563eb"}, kOrange = {"#ffedd5", "#ea580c"},
                    kGreen = {"#dcfce7", "#16a34a"}, kViolet = {"#ede9fe", "#7c3aed"},
                    kPink = {"#fce7f3", "#db2777"}, kCyan = {"#cffafe", "#0891b2"},
                    kYellow = {"#fef9c3", "#ca8a04"}, kStone = {"#e7e5e4", "#57534e"},
                    kNeutral = {"#f1f5f9", "#64748b"};
constexpr NamedColor kNamed[] = {
    {"tanh", kBlue},     {"relu", kOrange},    {"sigmoid", kGreen}, {"identity", kViolet},
    {"conv 3x3", kBlue}, {"conv 5x5", kCyan},  {"sep 3x3", kGreen}, {"sep 5x5", kYellow},
    {"avg 3x3", kPink},  {"max 3x3", kOrange},
};
constexpr DrawColor kPalette[] = {kBlue, kOrange, kGreen, kViolet, kPink, kCyan, kYellow, kStone};

bool is_pill(const DrawnNode& node) {
  return node.kind == NodeKind::input || node.kind == NodeKind::output;
}

const NamedColor* named(const std::string& style) {
  const auto* found = std::find_if(std::begin(kNamed), std::end(kNamed),
                                   [&](const NamedColor& entry) { return style == entry.style; });
  return found == std::end(kNamed) ? nullptr : found;
}

}  // namespace

DrawColors::DrawColors(const Drawing& drawing) {
  for (const DrawnNode& node : drawing.nodes) {
    if (!node.style.empty() && !is_pill(node)) styles_.push_back(node.style);
  }
  std::sort(styles_.begin(), styles_.end());
  styles_.erase(std::unique(styles_.begin(), styles_.end()), styles_.end());
  std::vector<DrawColor> left;
  for (const DrawColor& color : kPalette) {
    const bool taken = std::any_of(styles_.begin(), styles_.end(), [&](const std::string& style) {
      const NamedColor* entry = named(style);
      return entry != nullptr && std::string_view(entry->color.edge) == color.edge;
    });
    if (!taken) left.push_back(color);
  }
  std::size_t used = 0;
  for (const std::string& style : styles_) {
    const NamedColor* entry = named(style);
    if (entry != nullptr) {
      colors_.push_back(entry->color);
    } else {
      colors_.push_back(left.empty() ? kNeutral : left[used++ % left.size()]);
    }
  }
}

DrawColor DrawColors::of_style(const std::string& style) const {
  const auto found = std::find(styles_.begin(), styles_.end(), style);
  return found == styles_.end() ? kNeutral
                                : colors_[static_cast<std::size_t>(found - styles_.begin())];
}

DrawColor DrawColors::of(const DrawnNode& node) const {
  if (node.kind == NodeKind::input) return {"#ffffff", "#334155"};
  if (node.kind == NodeKind::output) return {"#334155", "#334155"};
  return of_style(node.style);
}

double box_width(const DrawnNode& node) {
  const double badge = node.badge.empty() ? 0 : 2 * kBadgeRadius + 8;
  return std::max(64.0,
                  std::ceil(text_width(node.label, kFontSize) + badge + (is_pill(node) ? 34 : 26)));
}

std::string svg_words(double x, double y, const Words& words, const std::string& content) {
  return "<text x=\"" + svg_number(x) + "\" y=\"" + svg_number(y) + "\" font-size=\"" +
         svg_number(words.size) + "\" fill=\"" + words.color + "\" text-anchor=\"" + words.anchor +
         "\" font-weight=\"" + words.weight + "\">" + content + "</text>\n";
}

std::string svg_box(const DrawnNode& node, DrawColor color, double x, double y, double width) {
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
            svg_words(badge, y + 4.3, {12, "#ffffff", "middle", "700"}, svg_escape(node.badge));
  }
  const char* ink = node.kind == NodeKind::output ? "#ffffff" : kDrawInk;
  return text +
         svg_words(middle, y + 5.2, {kFontSize, ink, "middle", "600"}, svg_label(node.label));
}

std::string svg_arrow_head(const std::string& id, const char* color) {
  return "<marker id=\"" + id +
         "\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"10\" markerHeight=\"10\" "
         "markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0.5 0.8 L9.5 5 L0.5 9.2 "
         "L2.6 5 Z\" fill=\"" +
         color + "\"/></marker>";
}

}  // namespace enas

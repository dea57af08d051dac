// to_svg: a graph (draw_layered.cpp, draw_chain.cpp) under its title and above its legend; plain
// SVG 1.1 with sizes in pixels. Numbers are printed in tenths, so that the bytes do not depend on
// the last bits of the layout.
#include <algorithm>

#include "apps/run/draw.h"
#include "apps/run/draw_shapes.h"
#include "apps/run/svg_text.h"

namespace enas {
namespace {

constexpr double kMargin = 28;
constexpr double kTitleFont = 18, kSubtitleFont = 13;
constexpr double kLegendRow = 24;
constexpr double kEntryGap = 16;
constexpr const char* kFont = "Inter, 'Segoe UI', Helvetica, Arial, sans-serif";

struct Entry {
  std::string label;
  DrawColor color;
  const char* border;
};

double width_of(const Entry& entry) { return 22 + text_width(entry.label, 12) + kEntryGap; }

std::vector<Entry> entries_of(const Drawing& drawing, const DrawColors& colors) {
  std::vector<Entry> entries;
  for (const std::string& style : colors.styles()) {
    entries.push_back({style, colors.of_style(style), "1.5"});
  }
  const bool loose = std::any_of(drawing.nodes.begin(), drawing.nodes.end(),
                                 [](const auto& n) { return n.kind == NodeKind::loose; });
  if (loose) entries.push_back({"loose end", {"#ffffff", "#64748b"}, "3"});
  return entries;
}

double width_of(const std::vector<Entry>& entries) {
  double width = -kEntryGap;
  for (const Entry& entry : entries) width += width_of(entry);
  return std::max(0.0, width);
}

// As few rows as fit, with nearly the same number of entries.
std::vector<std::vector<Entry>> rows_of(const std::vector<Entry>& entries, double width) {
  std::size_t count = 0;
  double used = 0;
  for (const Entry& entry : entries) {
    if (count == 0 || used + width_of(entry) > width + kEntryGap + 0.5) {
      ++count;
      used = 0;
    }
    used += width_of(entry);
  }
  std::vector<std::vector<Entry>> rows(count);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    rows[i * count / entries.size()].push_back(entries[i]);
  }
  return rows;
}

// Rows of entries, centred within `width`, from *bottom on, which grows by their height.
std::string legend(const std::vector<Entry>& entries, double width, double* bottom) {
  const std::vector<std::vector<Entry>> rows = rows_of(entries, width - 2 * kMargin);
  std::string text;
  if (!rows.empty()) *bottom += 14;
  for (const std::vector<Entry>& row : rows) {
    double x = (width - width_of(row)) / 2;
    const double y = *bottom + kLegendRow / 2;
    for (const Entry& entry : row) {
      text += "<rect x=\"" + svg_number(x + 1) + "\" y=\"" + svg_number(y - 7) +
              "\" width=\"14\" height=\"14\" rx=\"4\" fill=\"" + entry.color.fill + "\" stroke=\"" +
              entry.color.edge + "\" stroke-width=\"" + entry.border + "\"/>\n" +
              svg_words(x + 22, y + 4.3, {.anchor = "start"}, svg_escape(entry.label));
      x += width_of(entry);
    }
    *bottom += kLegendRow;
  }
  return text;
}

std::string heading(const Drawing& drawing, double middle) {
  std::string text;
  double y = kMargin + 12;
  if (!drawing.title.empty()) {
    text += svg_words(middle, y, {kTitleFont, kDrawInk, "middle", "700"}, svg_label(drawing.title));
    y += 22;
  }
  if (!drawing.subtitle.empty()) {
    text += svg_words(middle, y, {.size = kSubtitleFont}, svg_label(drawing.subtitle));
  }
  return text;
}

}  // namespace

std::string to_svg(const Drawing& drawing) {
  const DrawColors colors(drawing);
  const DrawBody body = drawing.chain ? draw_chain(drawing, colors) : draw_layered(drawing, colors);
  const std::vector<Entry> entries = entries_of(drawing, colors);
  const double width = std::max({body.width, text_width(drawing.title, kTitleFont),
                                 text_width(drawing.subtitle, kSubtitleFont),
                                 std::min(width_of(entries), std::max(body.width, 360.0))}) +
                       2 * kMargin;
  const double left = (width - body.width) / 2;
  double top = kMargin + (drawing.title.empty() ? 0 : 26) + (drawing.subtitle.empty() ? 0 : 20);
  if (top > kMargin) top += 6;
  double bottom = top + body.height;
  const std::string below = legend(entries, width, &bottom);
  const std::string w = svg_number(width), h = svg_number(bottom + kMargin);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + w + " " + h + "\" width=\"" +
         w + "\" height=\"" + h + "\" font-family=\"" + kFont + "\" role=\"img\">\n<title>" +
         svg_escape(drawing.title) + "</title>\n<defs>" + body.defs +
         "</defs>\n<rect width=\"100%\" height=\"100%\" rx=\"14\" fill=\"#ffffff\"/>\n" +
         heading(drawing, width / 2) + "<g transform=\"translate(" + svg_number(left) + " " +
         svg_number(top) + ")\">\n" + body.shapes + "</g>\n" + below + "</svg>\n";
}

}  // namespace enas

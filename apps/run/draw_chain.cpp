// A chain of boxes. A few skips are tracks beside it, in the colour of their source; many are a
// matrix, a row for each box and a column for each source, which stays readable at any depth.
#include "apps/run/draw_chain.h"

#include <algorithm>
#include <map>

#include "apps/run/draw_graph.h"
#include "apps/run/draw_shapes.h"
#include "apps/run/svg_text.h"
#include "tensor/check.h"

namespace enas {
namespace {

constexpr double kPitch = kBoxHeight + 26;          // from box to box
constexpr int kMostLanes = 6, kMostFaintLanes = 9;  // a side; else a matrix
constexpr double kLaneGap = 14, kFirstLane = 24;
constexpr double kBend = 8;                             // radius of a track's turns
constexpr double kLeave = 14, kEnter = -11, kLast = 6;  // heights of ends, from a box's middle
constexpr double kEnterGap = 6;
constexpr double kColumn = 22, kCell = 13;  // of the matrix
constexpr double kMatrixGap = 40;
constexpr const char* kCaption[] = {"Skips: a square says that", "the row also reads the column."};
constexpr double kCaptionFont = 13;
constexpr const char* kGuide = "#eef1f5";
constexpr const char* kDot = "#cbd5e1";

double row_y(std::size_t row) { return kBoxHeight / 2 + kPitch * static_cast<double>(row); }

// First lane of one side that is free along the track.
int free_lane(const std::vector<ChainTrack>& placed, const ChainTrack& track, bool right) {
  for (int lane = 0;; ++lane) {
    const bool taken = std::any_of(placed.begin(), placed.end(), [&](const ChainTrack& other) {
      return other.right == right && other.lane == lane && other.source < track.end() &&
             track.source < other.end();
    });
    if (!taken) return lane;
  }
}

std::string line(const std::string& path, const char* color, double width,
                 const std::string& head = "") {
  return "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + color + "\" stroke-width=\"" +
         svg_number(width) + "\"" + (head.empty() ? "" : " marker-end=\"url(#" + head + ")\"") +
         "/>\n";
}

class Chain {
 public:
  Chain(const Drawing& drawing, const DrawColors& colors)
      : drawing_(drawing), colors_(colors), tracks_(chain_tracks(drawing)) {
    for (const DrawnEdge& edge : drawing.edges) faint_ = faint_ || edge.faint;
    for (const DrawnNode& node : drawing.nodes) box_ = std::max(box_, box_width(node));
    for (const ChainTrack& track : tracks_) {
      int& lanes = track.right ? right_ : left_;
      lanes = std::max(lanes, track.lane + 1);
    }
  }

  DrawBody body() {
    DrawBody body;
    const std::size_t count = drawing_.nodes.size();
    body.height = kBoxHeight + kPitch * static_cast<double>(count > 0 ? count - 1 : 0);
    const char* arrow = faint_ ? kDrawTaken : kDrawArrow;
    body.defs = svg_arrow_head("arrow", arrow) + svg_arrow_head("faint", kDrawFaint);
    const bool matrix = std::max(left_, right_) > (faint_ ? kMostFaintLanes : kMostLanes);
    const auto side = [](int lanes) {
      return lanes == 0 ? 0 : kFirstLane + kLaneGap * (lanes - 1) + 1;
    };
    middle_ = box_ / 2 + (matrix ? 0 : side(left_));
    body.width = middle_ + box_ / 2 + (matrix ? matrix_width() : side(right_));
    if (matrix) {
      body.height += 18;  // the names under the matrix
      body.shapes += squares();
    } else {
      for (const bool faint : {true, false}) {
        for (const ChainTrack& track : tracks_) {
          if (track.faint != faint) continue;
          body.defs += svg_arrow_head(head_of(track), color_of(track));
          body.shapes += draw(track);
        }
      }
    }
    const std::vector<std::pair<int, int>> ends = edge_ends(drawing_);
    for (std::size_t e = 0; e < ends.size(); ++e) {
      const auto [from, to] = ends[e];
      if (to != from + 1) continue;
      const bool faint = drawing_.edges[e].faint;
      const std::string x = svg_number(middle_);
      body.shapes += line("M" + x + " " + svg_number(row_y(index(from)) + kBoxHeight / 2) + " L" +
                              x + " " + svg_number(row_y(index(to)) - kBoxHeight / 2),
                          faint ? kDrawFaint : arrow, faint ? 1.3 : 1.8, faint ? "faint" : "arrow");
    }
    for (std::size_t i = 0; i < count; ++i) {
      const DrawnNode& node = drawing_.nodes[i];
      const bool pill = node.kind == NodeKind::input || node.kind == NodeKind::output;
      body.shapes +=
          svg_box(node, colors_.of(node), middle_, row_y(i), pill ? box_width(node) : box_);
    }
    return body;
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  const char* color_of(const ChainTrack& track) const {
    if (faint_) return track.faint ? kDrawFaint : kDrawTaken;
    return colors_.of(drawing_.nodes[index(track.source)]).edge;
  }
  static std::string head_of(const ChainTrack& track) {
    return "from-" + std::to_string(track.source) + (track.faint ? "-faint" : "");
  }

  // Where a track comes in: the ends at one side of a box stand below each other, the innermost
  // lane first, so that tracks that end there do not cross.
  double entry_y(const ChainTrack& track, int reader) const {
    int rank = 0, count = 0;
    for (const ChainTrack& other : tracks_) {
      if (other.right != track.right ||
          !std::binary_search(other.readers.begin(), other.readers.end(), reader)) {
        continue;
      }
      ++count;
      if (other.lane < track.lane) ++rank;
    }
    const double gap = count < 2 ? 0 : std::min(kEnterGap, (kLast - kEnter) / (count - 1));
    const double first = (kEnter + kLast - gap * (count - 1)) / 2;
    return row_y(index(reader)) + first + gap * rank;
  }

  // One line to the last reader; to each of the others a branch of its own.
  std::string draw(const ChainTrack& track) const {
    const double out = track.right ? 1 : -1,
                 x = middle_ + out * (box_ / 2 + kFirstLane + kLaneGap * track.lane);
    const double edge = middle_ + out * box_ / 2, turn = x - out * kBend;
    const auto at = [](double px, double py) { return svg_number(px) + " " + svg_number(py); };
    const double leave = row_y(index(track.source)) + kLeave;
    // A narrow pill is left from within.
    std::string text;
    for (const int reader : track.readers) {
      const double y = entry_y(track, reader);
      std::string path;
      if (reader == track.end()) {
        path = "M" + at(middle_, leave) + " L" + at(turn, leave) + " Q" + at(x, leave) + " " +
               at(x, leave + kBend) + " L" + at(x, y - kBend);
      } else {
        path = "M" + at(x, y - kBend);
      }
      path += " Q" + at(x, y) + " " + at(turn, y) + " L" + at(edge, y);
      text += line(path, color_of(track), track.faint ? 1.2 : 1.6, head_of(track));
    }
    return text;
  }

  // Rows: all boxes but an output that reads its neighbour alone. Columns: all that such a row
  // could read past its neighbour, but for an input that nobody reads so.
  std::size_t rows() const {
    const std::size_t count = drawing_.nodes.size();
    const bool read = std::any_of(tracks_.begin(), tracks_.end(), [&](const ChainTrack& track) {
      return index(track.end()) == count - 1;
    });
    return read || drawing_.nodes.back().kind != NodeKind::output ? count : count - 1;
  }
  std::size_t first_column() const {
    return drawing_.nodes[0].kind == NodeKind::input && tracks_[0].source != 0 ? 1 : 0;
  }
  double column_x(std::size_t source) const {
    return middle_ + box_ / 2 + kMatrixGap + kColumn * static_cast<double>(source - first_column());
  }
  double matrix_width() const { return column_x(rows() - 3) - middle_ - box_ / 2 + kColumn / 2; }

  std::string name_of(std::size_t i) const {
    const DrawnNode& node = drawing_.nodes[i];
    return svg_escape(node.badge.empty() ? node.label : node.badge);
  }

  std::string squares() const {
    const std::size_t count = rows();
    std::string guides, cells, names;
    std::map<std::pair<std::size_t, std::size_t>, const char*> taken;  // (row, column)
    for (const ChainTrack& track : tracks_) {
      for (const int reader : track.readers) {
        if (!track.faint) taken[{index(reader), index(track.source)}] = color_of(track);
      }
    }
    const std::size_t left = first_column();
    for (std::size_t row = left + 2; row < count; ++row) {
      const double y = row_y(row);
      guides += line("M" + svg_number(middle_) + " " + svg_number(y) + " L" +
                         svg_number(column_x(row - 2)) + " " + svg_number(y),
                     kGuide, 1.5);
      for (std::size_t column = left; column + 2 <= row; ++column) {
        const double x = column_x(column);
        const auto found = taken.find({row, column});
        if (found == taken.end()) {
          cells += "<circle cx=\"" + svg_number(x) + "\" cy=\"" + svg_number(y) +
                   "\" r=\"1.6\" fill=\"" + kDot + "\"/>\n";
        } else {
          cells += "<rect x=\"" + svg_number(x - kCell / 2) + "\" y=\"" +
                   svg_number(y - kCell / 2) + "\" width=\"" + svg_number(kCell) + "\" height=\"" +
                   svg_number(kCell) + "\" rx=\"3.5\" fill=\"" + found->second + "\"/>\n";
        }
      }
    }
    for (std::size_t column = left; column + 2 < count; ++column) {
      const double x = column_x(column), first = row_y(column + 2), last = row_y(count - 1);
      guides += line("M" + svg_number(x) + " " + svg_number(first) + " L" + svg_number(x) + " " +
                         svg_number(last),
                     kGuide, 1.5);
      for (const double y : {first - kPitch / 2 + 8, last + kPitch / 2 - 2}) {
        names += svg_words(x, y, {.size = 11}, name_of(column));
      }
    }
    return guides + cells + names + caption();
  }

  std::string caption() const {
    const Words words = {.size = kCaptionFont, .anchor = "end"};
    const double right = middle_ + box_ / 2 + matrix_width(), y = row_y(0) - 4;
    return svg_words(right, y, words, kCaption[0]) + svg_words(right, y + 18, words, kCaption[1]);
  }

  const Drawing& drawing_;
  const DrawColors& colors_;
  std::vector<ChainTrack> tracks_;
  bool faint_ = false;  // some edges are
  double box_ = 0;      // width of the boxes
  double middle_ = 0;
  int left_ = 0, right_ = 0;  // lanes
};

}  // namespace

std::vector<ChainTrack> chain_tracks(const Drawing& drawing) {
  std::map<std::pair<int, bool>, std::vector<int>> readers;
  const std::vector<std::pair<int, int>> ends = edge_ends(drawing);
  for (std::size_t e = 0; e < ends.size(); ++e) {
    const auto [from, to] = ends[e];
    check(from < to, "draw", "edge ", drawing.edges[e].from, " -> ", drawing.edges[e].to,
          " runs against the chain, or the graph has a cycle");
    if (to > from + 1) readers[{from, drawing.edges[e].faint}].push_back(to);
  }
  std::vector<ChainTrack> tracks;
  for (auto& [key, list] : readers) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    tracks.push_back({key.first, list, key.second});
  }
  std::stable_sort(tracks.begin(), tracks.end(), [](const ChainTrack& a, const ChainTrack& b) {
    return a.end() - a.source < b.end() - b.source;
  });
  std::vector<ChainTrack> placed;
  for (ChainTrack& track : tracks) {
    const int left = free_lane(placed, track, false), right = free_lane(placed, track, true);
    const auto on_right =
        std::count_if(placed.begin(), placed.end(), [](const ChainTrack& t) { return t.right; });
    const auto on_left = static_cast<std::ptrdiff_t>(placed.size()) - on_right;
    track.right = right < left || (right == left && on_right <= on_left);
    track.lane = track.right ? right : left;
    placed.push_back(track);
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const ChainTrack& a, const ChainTrack& b) { return a.source < b.source; });
  return placed;
}

DrawBody draw_chain(const Drawing& drawing, const DrawColors& colors) {
  return Chain(drawing, colors).body();
}

}  // namespace enas

"""Tests of bench/report.py on made-up figures; needs no PyTorch."""
import copy
import os
import sys
import unittest
from xml.dom import minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report  # noqa: E402


def a_round(ours, theirs, void=False, peak=100.0):
    return {"sides": {"enas": {"value": ours, "fma_peak_gflops": peak, "fraction_of_peak": 0.5, "peak_rss_mib": 30,
                               "base_rss_mib": 10},
                      "torch 9.9": {"value": theirs, "peak_rss_mib": 300, "base_rss_mib": 100}},
            "foreign": {}, "void": void}


def a_result():
    return {"format": "enas-bench/1", "machine": {"cpu": "a", "cores": 2}, "threads": 2, "commit": "c",
            "sides": ["enas", "torch 9.9"],
            "ops": {"lstm_cell/n1_i64_h64/forward/manual_time": [900.0, 1000.0, 1100.0]},
            "peer_ops": {"lstm_cell/n1_i64_h64/forward": {"torch 9.9": [9000.0, 12000.0, 13000.0]}},
            "steps": {"rnn <small>, shared": {"unit": "tokens/s", "phase": "shared", "rounds": [
                a_round(200, 100), a_round(330, 110), a_round(100, 100, void=True), a_round(250, 100)]}}}


class Report(unittest.TestCase):
    def test_ratios_are_of_one_round_and_leave_void_rounds_out(self):
        step = a_result()["steps"]["rnn <small>, shared"]
        self.assertEqual(report.ratios(step, "torch 9.9"), [2.0, 3.0, 2.5])
        self.assertIn("| 3 (1) | 250 (200-330) tokens/s | 0.500 | 20 | 100 (100-110) | 2.5 (2-3) | 200 |",
                      report.markdown(a_result()))

    def test_op_rows_stand_beside_their_peer(self):
        self.assertIn("| lstm_cell/n1_i64_h64/forward | 1.0 | 12.0 | 12.00 |", report.markdown(a_result()))

    def test_a_workload_whose_rounds_are_all_void_claims_nothing(self):
        result = a_result()
        for r in result["steps"]["rnn <small>, shared"]["rounds"]:
            r["void"] = True
        self.assertIn("all void", report.markdown(result))
        minidom.parseString(report.svg(result))

    def test_svg_is_xml_with_a_bar_for_each_peer(self):
        root = minidom.parseString(report.svg(a_result()))
        self.assertEqual(sum(r.getAttribute("height") == "13" for r in root.getElementsByTagName("rect")), 1)

    def test_svg_marks_a_bar_that_is_cut(self):
        result = a_result()
        self.assertNotIn("//: cut", report.svg(result))
        result["steps"]["rnn <small>, shared"]["rounds"][0]["sides"]["enas"]["value"] = 5000
        result["steps"]["rnn <small>, shared"]["rounds"][1]["sides"]["enas"]["value"] = 5000
        text = report.svg(result)
        self.assertIn("//: cut", text)
        self.assertEqual(len(minidom.parseString(text).getElementsByTagName("path")), 2)

    def test_compare_tells_a_change_from_noise(self):
        old, new = a_result(), a_result()
        new["ops"]["lstm_cell/n1_i64_h64/forward/manual_time"] = [1150.0, 1200.0, 1300.0]
        text = report.compare(old, new)
        self.assertIn("within noise", text)  # the steps, which did not change
        self.assertIn("+20.0%  SLOWER", text)
        self.assertIn("faster", report.compare(new, old))

    def test_compare_measures_steps_in_units_of_the_fma_loop(self):
        old, new = a_result(), copy.deepcopy(a_result())
        for r in new["steps"]["rnn <small>, shared"]["rounds"]:  # a machine of half the speed
            r["sides"]["enas"]["value"] /= 2
            r["sides"]["enas"]["fma_peak_gflops"] /= 2
        self.assertIn("+0.0%", report.compare(old, new))


if __name__ == "__main__":
    unittest.main()

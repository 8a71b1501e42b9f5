"""Kinds of servers and sites that a run meets; test_shapes.py writes them into docs/shapes.md."""

from __future__ import annotations

SERVERS: dict[str, dict[str, tuple[str, str]]] = {
    "Hub, mirror or CDN": {
        "any 5xx, a 429 with or without a time to wait": (
            "tried again as told; then the next run goes on", "tests/hub/test_reconcile.py::"
            "test_trouble_that_passes_costs_nothing"),
        "no `Link` header": ("said, never taken for the end", "tests/hub/test_misbehaving.py"),
        "refuses one file": ("that file's reason: gone, gated, failed", "tests/hub/test_misbehaving.py::"
                             "test_the_page_says_what_was_tried"),
        "a page without end, or one that drips": (
            "given up, and asked for in smaller pieces", "tests/hub/test_crawler.py::"
            "test_answers_without_end_are_given_up"),
        "cards too long for a page": ("smaller pages; of one that nobody can read the repo is listed without its card",
                                      "tests/hub/test_crawler.py::test_cards_too_long_for_a_page_cost_no_repo"),
        "the next page is on another server": ("not followed; it would get the token", "tests/hub/test_crawler.py::"
                                               "test_a_next_link_to_another_server_is_not_followed"),
    },
    "chat server": {
        "does not take the question's form": (
            "asked in a weaker form, which is recorded", "tests/proposing/test_forms.py::"
            "test_the_page_says_what_was_tried"),
        "refuses one adapter's pictures": ("`proposals_missing` for that one; the next is named",
                                           "tests/proposing/test_forms.py::test_the_page_says_what_was_tried"),
        "used up its quota, wants another key": (
            "`auditor doctor` says so; pictures are kept", "tests/doctor/test_local_checks.py::"
            "test_a_server_is_asked_as_an_audit_asks_it"),
    },
    "Slurm site": {
        "limits the jobs that may be submitted": (
            "a window that rolls on; each item once", "tests/cluster/test_site_limits.py::"
            "test_a_submit_limit_makes_a_window_that_rolls"),
        "has no arrays": ("plain jobs", "tests/cluster/test_site_limits.py::"
                          "test_a_site_without_arrays_gets_plain_jobs"),
        "hides its configuration": ("Slurm's defaults", "tests/cluster/test_site_limits.py::"
                                    "test_a_hidden_configuration_means_slurms_defaults"),
        "rewrites comments": ("jobs are known by their names", "tests/cluster/test_site_limits.py::"
                              "test_a_job_is_known_by_its_name_where_its_comment_is_gone"),
        "wants a QOS, or no memory asked for": ("`cluster.options`, `memory_gb = 0`",
                                                "tests/cluster/test_site_limits.py::test_a_site_has_its_way"),
    },
}  # fmt: skip
"""Kind of server → how it behaves → what is expected, and the test that makes it happen."""

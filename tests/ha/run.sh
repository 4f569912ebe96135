#!/usr/bin/env bash
# What a real Home Assistant makes of the messages of a site with everything, and of a real gateway.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo nextest run --lib write_what_the_real_home_assistant_is_shown --run-ignored only
.venv/bin/python tests/ha/payloads.py
cargo nextest run --test gateway u7_a_real_home_assistant --run-ignored only --no-capture

#!/usr/bin/env bash
# The Node-RED example of the documentation in a real Node-RED.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo nextest run --test gateway node_red:: --run-ignored only --no-capture

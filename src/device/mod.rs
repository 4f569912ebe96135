//! Device profiles as data, and the sans-IO driver that turns them into requests and observations. Pure.

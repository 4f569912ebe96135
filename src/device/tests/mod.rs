//! The shipped profiles and the rules of the format, seen from outside.

mod schema;

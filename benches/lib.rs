//! Benches of each stage of the data path.

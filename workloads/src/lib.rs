//! What is measured: each workload once, for every driver

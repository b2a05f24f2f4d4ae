//! The record of a run: schema, samples, statistics, charts

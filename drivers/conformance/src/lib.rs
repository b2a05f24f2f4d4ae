//! The conformance suite: cases, oracle and model-based property test for any driver

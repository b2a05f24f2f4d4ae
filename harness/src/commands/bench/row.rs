//! From measurements to rows of samples.csv.

use std::cell::RefCell;

use results::{Kind, SCHEMA, Sample, SampleWriter, Unit};
use workloads::{Measurement, Quantity, Recorder};

/// Whose rows they are.
pub struct Row<'a, 'w> {
    pub writer: &'a RefCell<&'w mut SampleWriter>,
    pub run: &'a str,
    pub driver: &'a str,
    pub workload: &'a str,
    pub round: u32,
}

impl Recorder for Row<'_, '_> {
    fn record(&mut self, measurement: &Measurement<'_>) -> workloads::Result<()> {
        let (value, unit, kind) = match measurement.quantity {
            Quantity::Time(time) => (time.as_secs_f64(), Unit::Seconds, Kind::Time),
            Quantity::Bytes(bytes) => (bytes.get() as f64, Unit::Bytes, Kind::Counter),
            Quantity::Count(count) => (count as f64, Unit::Count, Kind::Counter),
            Quantity::Ratio(ratio) => (ratio, Unit::Ratio, Kind::Shape),
            Quantity::Noisy(bytes) => (bytes.get() as f64, Unit::Bytes, Kind::Time),
        };
        let mut params = results::Params::default();
        for (name, value) in measurement.params {
            params.set(name, value);
        }
        let sample = Sample {
            schema: SCHEMA,
            run: self.run.to_owned(),
            driver: self.driver.to_owned(),
            workload: self.workload.to_owned(),
            params,
            round: self.round,
            phase: measurement.phase.to_owned(),
            metric: measurement.metric.to_owned(),
            value,
            unit,
            kind,
        };
        self.writer.borrow_mut().write(&sample).map_err(|error| workloads::Error::Engine(error.into()))
    }
}

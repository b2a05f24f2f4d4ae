use std::{cell::RefCell, collections::BTreeMap, path::Path, rc::Rc};

use storage_driver::{Bytes, LayerId, StorageDriver};

use super::*;
use crate::{
    BuildReport, BuildSpec, DeviceCounters, Holdings, Measurement, Param, Processor, Quantity, RunReport, RunSpec,
    SharedContainers, Space,
};

type Log = Rc<RefCell<Vec<String>>>;

#[derive(Debug)]
struct Mock {
    name: &'static str,
    stopped: bool,
}

impl Engine for Mock {
    fn driver(&self) -> &dyn StorageDriver {
        unreachable!("the workload under test is not at the driver's level")
    }
    fn ensure_base(&mut self, _: &str) -> Result<Option<LayerId>> {
        Ok(None)
    }
    fn build(&mut self, _: &BuildSpec<'_>) -> Result<BuildReport> {
        Ok(BuildReport::default())
    }
    fn run(&mut self, _: &RunSpec<'_>) -> Result<RunReport> {
        Ok(RunReport { stdout: self.name.into(), ..RunReport::default() })
    }
    fn containers(&mut self, _: &str) -> Result<SharedContainers> {
        unreachable!("the workload under test starts none")
    }
    fn make_database(&mut self, _: &Path, _: u64, _: u64) -> Result<()> {
        unreachable!("the workload under test makes none")
    }
    fn holdings(&mut self) -> Result<Holdings> {
        Ok(Holdings::default())
    }
    fn memory_available(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }
    fn space(&mut self) -> Result<Option<Space>> {
        Ok(None)
    }
    fn extents(&mut self, _: &Path) -> Result<Option<u64>> {
        Ok(None)
    }
    fn map_write(&mut self, _: &Path, _: u64, _: &[u8]) -> Result<()> {
        unreachable!("the workload under test maps none")
    }
    fn cached(&mut self, _: &Path) -> Result<Bytes> {
        Ok(Bytes(0))
    }
    fn leave_out(&mut self, _: &str, _: &str) {}
    fn remove_image(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn counters(&mut self) -> Result<Option<DeviceCounters>> {
        Ok(None)
    }
    fn processor(&mut self) -> Result<Processor> {
        Ok(Processor::default())
    }
    fn drop_caches(&mut self) -> Result<bool> {
        Ok(false)
    }
    fn is_stopped(&self) -> bool {
        self.stopped
    }
}

#[derive(Debug)]
struct Tracer {
    log: Log,
    fail_in_run: bool,
}

impl Tracer {
    fn say(&self, what: &str, engine: &mut dyn Engine) -> Result<()> {
        let name = engine.run(&RunSpec { image: "", command: Vec::new() })?.stdout;
        self.log.borrow_mut().push(format!("{what} {}", String::from_utf8_lossy(&name)));
        Ok(())
    }
}

impl Workload for Tracer {
    fn name(&self) -> &'static str {
        "tracer"
    }
    fn about(&self) -> &'static str {
        ""
    }
    fn params(&self) -> Vec<Param> {
        Vec::new()
    }
    fn setup(&self, _: &Params, _: u64, _: &Scratch) -> Result<()> {
        self.log.borrow_mut().push("setup".to_owned());
        Ok(())
    }
    fn prepare(&self, _: &Params, _: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        self.say("prepare", engine)
    }
    fn run(&self, _: &Params, _: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        self.say("run", engine)?;
        if self.fail_in_run {
            return Err(Error::effect("x", 1, 2));
        }
        recorder.record(&Measurement { params: &[], phase: "p", metric: "m", quantity: Quantity::Count(1) })
    }
    fn conclude(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        self.say("conclude", engine)
    }
    fn cleanup(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        self.say("cleanup", engine)
    }
}

struct Counter(Log, u32);

impl Recorder for Counter {
    fn record(&mut self, _: &Measurement<'_>) -> Result<()> {
        self.0.borrow_mut().push(format!("recorded {}", self.1));
        Ok(())
    }
}

struct Silent;

impl Progress for Silent {
    fn round(&mut self, _: Round, _: u64, _: u64) {}
    fn finished(&mut self, _: Round) -> Result<()> {
        Ok(())
    }
}

fn trace(fail_in_run: bool, stopped: bool) -> (Result<()>, Vec<String>) {
    let log = Log::default();
    let workload = Tracer { log: log.clone(), fail_in_run };
    let (mut a, mut b) = (Mock { name: "a", stopped: false }, Mock { name: "b", stopped });
    let params = Params::new(&[], &BTreeMap::new(), false).unwrap();
    let plan = Plan { rounds: 1, warmup: 1, seed: 3, ..Plan::default() };
    let recorder = |round: Round| (round.number > 0).then(|| Counter(log.clone(), round.number));
    let scratch = Scratch::new("/nowhere".into());
    let outcome = run(&workload, &params, &plan, &scratch, &mut [&mut a, &mut b], recorder, &mut Silent);
    let said = log.borrow().clone();
    (outcome, said)
}

#[test]
fn the_life_cycle_is_in_order_and_warm_up_is_not_recorded() {
    let (outcome, said) = trace(false, false);
    outcome.unwrap();
    assert_eq!(said[..3], ["setup", "prepare a", "prepare b"]);
    assert_eq!(said[said.len() - 2..], ["cleanup a", "cleanup b"]);
    let runs: Vec<_> = said.iter().filter(|line| line.starts_with("run")).collect();
    assert_eq!(runs.len(), 4);
    for pair in
        said[3..said.len() - 2].iter().filter(|line| !line.starts_with("recorded")).collect::<Vec<_>>().chunks(2)
    {
        assert_eq!(pair[0].replace("run", "conclude"), *pair[1]);
    }
    assert_eq!(said.iter().filter(|line| *line == "recorded 1").count(), 2);
}

#[test]
fn a_failed_round_is_concluded_and_everything_cleaned_up() {
    let (outcome, said) = trace(true, false);
    assert!(matches!(outcome, Err(Error::Effect { .. })));
    assert_eq!(said.len(), 7, "{said:?}");
    assert!(said[4].starts_with("conclude"));
    assert_eq!(said[5..], ["cleanup a", "cleanup b"]);
}

#[test]
fn stopping_cleans_up() {
    let (outcome, said) = trace(false, true);
    assert!(matches!(outcome, Err(Error::Stopped)));
    assert_eq!(said, ["setup", "prepare a", "cleanup a", "cleanup b"]);
}

#[test]
fn orders_are_fixed_by_the_seed_and_fair() {
    let plan = Plan { rounds: 40, warmup: 2, seed: 1, ..Plan::default() };
    let order = Order::new(&plan, 3);
    assert_eq!(order, Order::new(&plan, 3));
    assert_ne!(order, Order::new(&Plan { seed: 2, ..plan }, 3));
    for round in order.0.chunks(3) {
        let mut drivers: Vec<_> = round.iter().map(|round| round.driver).collect();
        drivers.sort_unstable();
        assert_eq!(drivers, [0, 1, 2]);
    }
    let first = order.0.chunks(3).filter(|round| round[0].driver == 0).count();
    assert!((5..25).contains(&first), "driver 0 was first {first} times of 42");
}

#[test]
fn what_is_measured_already_is_left_out_and_the_rest_keeps_its_order() {
    let plan = Plan { rounds: 5, warmup: 1, seed: 1, ..Plan::default() };
    let whole = Order::new(&plan, 3).0;
    let resumed = Plan { measured: vec![5, 2, 3], ..plan };
    let rest = Order::new(&resumed, 3).0;
    let is_left = |round: &Round| match (round.driver, round.number) {
        (0, _) => false,
        (_, 0) => true,
        (driver, number) => number > [5, 2, 3][driver],
    };
    let expected: Vec<_> = whole.into_iter().filter(is_left).collect();
    assert_eq!(rest, expected);
    assert_eq!((0..3).map(|driver| resumed.rounds_of(driver)).collect::<Vec<_>>(), [0, 4, 3]);
    assert_eq!(rest.len(), 7);
}

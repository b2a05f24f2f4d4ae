use driver_faults::{Choice, Opener, Report, run};
use std::{path::Path, sync::Arc};
use storage_driver::StorageDriver;
fn main() {
    let mut args = std::env::args().skip(1);
    let driver = args.next().unwrap();
    let mut choice = Choice::default();
    for arg in args {
        match arg.parse() {
            Ok(fault) => choice.faults.push(fault),
            Err(_) => match arg.split_once(':') {
                Some((op, n)) => {
                    choice.operations.push(op.into());
                    choice.step = Some(n.parse().unwrap());
                }
                None => choice.operations.push(arg),
            },
        }
    }
    let started = std::time::Instant::now();
    let mut done = |row: &driver_faults::Row| {
        if !row.lost.is_empty() {
            println!("{:?} {} {} lost after {:?}", row.fault, row.operation, row.lost.len(), started.elapsed())
        }
    };
    let report: Report = if driver == "vfs" {
        run(
            &Opener::new("vfs", |root: &Path| {
                Ok(Arc::new(driver_vfs::Vfs::open(root, driver_vfs::Options::from_pairs(root, &Default::default())?)?)
                    as Arc<dyn StorageDriver>)
            }),
            &choice,
            &mut done,
        )
    } else {
        run(
            &Opener::new("overlay2", |root: &Path| {
                Ok(Arc::new(driver_overlay2::Overlay2::open(
                    root,
                    driver_overlay2::Options::from_pairs(root, &Default::default())?,
                )?) as Arc<dyn StorageDriver>)
            }),
            &choice,
            &mut done,
        )
    }
    .unwrap();
    println!("{}", report.to_table());
}

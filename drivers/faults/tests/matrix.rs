fn main() {
    let vfs = driver_faults::Opener::new("vfs", |root: &std::path::Path| {
        let options = driver_vfs::Options::from_pairs(root, &Default::default())?;
        Ok(std::sync::Arc::new(driver_vfs::Vfs::open(root, options)?)
            as std::sync::Arc<dyn storage_driver::StorageDriver>)
    });
    let args: Vec<String> = std::env::args().skip(1).collect();
    let choice = driver_faults::Choice { operations: args, ..Default::default() };
    let report = driver_faults::run(&vfs, &choice, &mut |_| {}).unwrap();
    println!("{}", report.to_table());
}

#![allow(missing_docs, clippy::print_stdout)]
use storage_layer::copy::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    for threads in [1, 2, 3, 4] {
        let mut best = vec![];
        for _ in 0..5 {
            let to = tempfile::tempdir_in("/tmp/cpbench").unwrap();
            let t = std::time::Instant::now();
            let s = tree(a[1].as_ref(), to.path(), &CopyOptions { threads, ..CopyOptions::default() }).unwrap();
            best.push(t.elapsed().as_millis());
            assert!(s.files > 0);
        }
        println!("{threads} threads: {best:?} ms");
    }
}

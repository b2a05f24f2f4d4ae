//! Summaries and comparisons, of runs as large as real ones.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use results::{Kind, Params, SCHEMA, Sample, Unit, estimate, summarise};

/// The same values in every run, as times are spread: mostly near each other, some far above.
fn values(count: usize) -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| if next() > 0.95 { 1.0 + 5.0 * next() } else { 1.0 + 0.1 * next() }).collect()
}

fn samples(cells: usize, rounds: usize) -> Vec<Sample> {
    let sample = |(index, value): (usize, f64)| Sample {
        schema: SCHEMA,
        run: "bench".to_owned(),
        driver: ["overlay2", "vfs", "btrfs", "devicemapper"][index % 4].to_owned(),
        workload: "copyup".to_owned(),
        params: Params::default().with("size", index / 4 % (cells / 4)),
        round: (index / cells) as u32 + 1,
        phase: "first".to_owned(),
        metric: "wall".to_owned(),
        value,
        unit: Unit::Seconds,
        kind: Kind::Time,
    };
    values(cells * rounds).into_iter().enumerate().map(sample).collect()
}

fn statistics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bootstrap interval of the median");
    for count in [5, 20, 100] {
        let values = values(count);
        group.bench_with_input(BenchmarkId::from_parameter(count), &values, |bencher, values| {
            bencher.iter(|| estimate(black_box(values)));
        });
    }
    group.finish();
    let run = samples(2_000, 5);
    criterion.bench_function("summary of 2,000 cells of 5 rounds", |bencher| {
        bencher.iter(|| summarise(black_box(&run)));
    });
}

criterion_group!(benches, statistics);
criterion_main!(benches);

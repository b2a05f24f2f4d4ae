//! Random operations on few names, so that they meet.

use proptest::{
    collection::vec,
    prelude::{BoxedStrategy, Strategy, any, prop_oneof},
    sample::select,
    strategy::Union,
};

use crate::{Data, Op};

/// A few operations, as one program would do them between mount and unmount.
pub fn operations() -> BoxedStrategy<Vec<Op>> {
    vec(operation(), 1..14).boxed()
}

fn path() -> BoxedStrategy<String> {
    prop_oneof![
        4 => select(vec!["a", "b", "c"]),
        4 => select(vec!["a/a", "a/b", "b/a", "b/b", "c/a"]),
        2 => select(vec!["a/a/a", "a/a/b", "b/a/a", "a/b/a"]),
    ]
    .prop_map(str::to_owned)
    .boxed()
}

fn data() -> BoxedStrategy<Data> {
    prop_oneof![
        select(vec!["", "x", "y", "same size 1", "same size 2"]).prop_map(Data::from),
        (any::<u64>(), select(vec![1, 100, 4095, 4096, 4097, 10_000]))
            .prop_map(|(seed, len)| Data::Random { seed, len }),
    ]
    .boxed()
}

fn mode() -> BoxedStrategy<u32> {
    select(vec![0o000, 0o400, 0o644, 0o600, 0o755, 0o700, 0o1777, 0o2755, 0o4755]).boxed()
}

fn operation() -> BoxedStrategy<Op> {
    let offset = || select(vec![0_u64, 1, 4096, 5000, 12_288, 70_000]);
    Union::new_weighted(vec![
        (8, (path(), data(), mode()).prop_map(|(path, data, mode)| Op::file_mode(path, data, mode)).boxed()),
        (9, (path(), mode()).prop_map(|(path, mode)| Op::mkdir_mode(path, mode | 0o700)).boxed()),
        (4, (path(), data()).prop_map(|(path, data)| Op::append(path, data)).boxed()),
        (4, (path(), offset(), data()).prop_map(|(path, offset, data)| Op::overwrite(path, offset, data)).boxed()),
        (3, (path(), offset()).prop_map(|(path, size)| Op::truncate(path, size)).boxed()),
        (2, (path(), offset(), offset()).prop_map(|(path, at, len)| Op::punch(path, at, len.max(1))).boxed()),
        (5, path().prop_map(Op::remove).boxed()),
        (4, path().prop_map(Op::remove_all).boxed()),
        (7, (path(), path()).prop_map(|(from, to)| Op::rename(from, to)).boxed()),
        (5, (path(), path()).prop_map(|(existing, new)| Op::link(existing, new)).boxed()),
        (2, (select(vec!["a", "b/a", "/c", "nowhere"]), path()).prop_map(|(to, path)| Op::symlink(to, path)).boxed()),
        (1, path().prop_map(Op::fifo).boxed()),
        (
            4,
            (prop_oneof![path(), select(vec![String::new()])], mode())
                .prop_map(|(path, mode)| Op::chmod(path, mode | 0o100))
                .boxed(),
        ),
        (2, (path(), 0..2_u32, 0..3_u32).prop_map(|(path, uid, gid)| Op::chown(path, uid, gid)).boxed()),
        (
            2,
            (path(), 0..3_i64, 0..3_u32)
                .prop_map(|(path, seconds, nanoseconds)| Op::utimes(path, seconds, nanoseconds))
                .boxed(),
        ),
        (
            3,
            (path(), select(vec!["user.x", "user.y"]), data_of_xattr())
                .prop_map(|(path, name, value)| Op::xattr(path, name, value))
                .boxed(),
        ),
        (2, (path(), select(vec!["user.x", "user.y"])).prop_map(|(path, name)| Op::remove_xattr(path, name)).boxed()),
    ])
    .boxed()
}

fn data_of_xattr() -> BoxedStrategy<&'static str> {
    select(vec!["", "1", "2"]).boxed()
}

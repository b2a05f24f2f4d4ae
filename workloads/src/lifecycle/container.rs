//! What a life is to a container.

use storage_driver::StorageDriver;

use super::{
    layer::gone,
    lives::{Life, Together},
};
use crate::{Container, Error, Result, SharedContainers};

/// Long enough for any life.
const STAY: [&str; 2] = ["sleep", "100000"];

/// The status of who was killed, as a shell sees it.
const KILLED: i32 = 128 + 9;

/// Makes, starts, asks, ends and removes a container; what failed leaves none.
pub(super) fn live(
    containers: &SharedContainers,
    driver: &dyn StorageDriver,
    number: u64,
    together: Together<'_>,
) -> Result<Life> {
    let mut life = Life::default();
    let begun = begin(&mut life, containers);
    together.wait();
    let mut container = begun?;
    let answer = life.step("exec", || container.exec(&question(number).each_ref().map(String::as_str)))?;
    check_answer(number, answer.status, &answer.stdout)?;
    let status = life.step("exit", || container.stop())?;
    if status != KILLED {
        return Err(Error::effect("a killed container's status", KILLED, status));
    }
    life.step("unmount", || container.unmount())?;
    let layer = container.layer().clone();
    life.step("remove", || container.remove())?;
    gone(driver, &layer)?;
    Ok(life)
}

fn begin(life: &mut Life, containers: &SharedContainers) -> Result<Box<dyn Container>> {
    let mut container = life.step("create", || containers.create())?;
    life.step("mount", || container.mount().map(drop))?;
    life.step("start", || container.start(&STAY, false))?;
    Ok(container)
}

/// Has the container write a file of its own, which it did not have, and read it: one shell, no other program.
fn question(number: u64) -> [String; 3] {
    let script = format!("test ! -e /life && echo {number} > /life && read found < /life && echo $found");
    ["sh".to_owned(), "-c".to_owned(), script]
}

fn check_answer(number: u64, status: i32, stdout: &[u8]) -> Result<()> {
    let found = String::from_utf8_lossy(stdout);
    if status == 0 && found.trim() == number.to_string() {
        return Ok(());
    }
    let expected = format!("{number}, written and read");
    Err(Error::effect("a file of a container's own", expected, format!("{:?}, status {status}", found.trim())))
}

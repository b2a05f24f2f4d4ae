//! placeholder
use crate::{Operation, Result, Row, room::Room, trial::Setting};

pub fn lose(_: &Setting<'_>, _: &Operation, _: Option<usize>, _: &Room, _: &mut Row) -> Result<()> {
    Ok(())
}

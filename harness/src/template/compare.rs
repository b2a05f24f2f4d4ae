//! `eq` and its like.

use std::cmp::Ordering;

use super::{Error, Result, Value, functions::count};

/// `eq A B C`: A is one of the others.
pub fn equal(name: &str, given: &[Value]) -> Result<Value> {
    let [first, others @ ..] = given else { return Err(count(name, "two or more", given)) };
    if others.is_empty() {
        return Err(count(name, "two or more", given));
    }
    for other in others {
        if are_equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub fn unequal(name: &str, given: &[Value]) -> Result<Value> {
    let [first, other] = given else { return Err(count(name, "two", given)) };
    Ok(Value::Bool(!are_equal(first, other)?))
}

/// `lt`, `le`, `gt` and `ge`.
pub fn ordered(name: &str, given: &[Value]) -> Result<Value> {
    let [first, other] = given else { return Err(count(name, "two", given)) };
    let order = match (first, other) {
        (Value::Text(first), Value::Text(other)) => Some(first.cmp(other)),
        _ => numbers(first, other),
    };
    let order = order.ok_or_else(|| incompatible(first, other))?;
    Ok(Value::Bool(match name {
        "lt" => order == Ordering::Less,
        "le" => order != Ordering::Greater,
        "gt" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

fn are_equal(first: &Value, other: &Value) -> Result<bool> {
    let is_nil = |value: &Value| matches!(value, Value::Nil | Value::Missing);
    match (first, other) {
        (Value::Bool(first), Value::Bool(other)) => Ok(first == other),
        (Value::Text(first), Value::Text(other)) => Ok(first == other),
        _ if is_nil(first) || is_nil(other) => Ok(is_nil(first) && is_nil(other)),
        _ => numbers(first, other).map(Ordering::is_eq).ok_or_else(|| incompatible(first, other)),
    }
}

fn numbers(first: &Value, other: &Value) -> Option<Ordering> {
    let float = |value: &Value| match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    match (first, other) {
        (Value::Int(first), Value::Int(other)) => Some(first.cmp(other)),
        _ => float(first)?.partial_cmp(&float(other)?),
    }
}

fn incompatible(first: &Value, other: &Value) -> Error {
    Error::new(format!("{} ({first}) and {} ({other}) cannot be compared", first.kind(), other.kind()))
}
